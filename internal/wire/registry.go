package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Authenticator says who sent a request.
type Authenticator interface {
	// Authenticate verifies r, whose body has been read into body, and fills the
	// Principal and Region of c, whose Service is set. An *aws.Error is answered
	// as it is; any other error as the service's internal one. It must not keep
	// r or body, which are used again.
	Authenticate(ctx context.Context, c *Call, r *http.Request, body []byte) error
}

// Recorder makes records of calls durable.
type Recorder interface {
	// Begin reserves room for c's record before anything has an effect. If it
	// fails the call does not happen.
	Begin(ctx context.Context, c *Call) error
	// Record makes c's record durable, with c.Err telling how it ended. It is
	// called once for each call that began, and before the answer leaves. Its
	// context outlives the caller's connection and has no deadline, so Record
	// must bound its own waiting.
	Record(ctx context.Context, c *Call) error
	// Unverified counts a request that was refused before its caller was known, or
	// known to be anybody here: c's Principal is nil and its Service may be.
	Unverified(c *Call, err error)
}

// Observer is told of every finished call, for metrics and metering: those
// refused before authentication (Principal nil), those made by other calls (Parent
// set) and jobs. status is the HTTP status the caller was, or would have been,
// answered with. It must be quick and must not change c.
type Observer func(c *Call, status int, took time.Duration)

// Config is what a Registry needs. Recorder and Log are required.
type Config struct {
	Recorder Recorder
	Log      *slog.Logger
	// Observe may be nil.
	Observe Observer
	// Trouble says whether an error is not ours but of what lies below; nil knows
	// of nothing.
	Trouble func(error) Trouble
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Trouble is what an error of the machine below tells the caller of a call.
type Trouble int

const (
	// NoTrouble is every other error.
	NoTrouble Trouble = iota
	// Unavailable: nothing was done, and the same call may succeed later.
	Unavailable
	// Unknown: whether it was done could not be found out.
	Unknown
)

// Registry knows the services and operations of a process and runs calls.
// Register everything before the first call; after that a Registry is safe for
// concurrent use.
type Registry struct {
	recorder Recorder
	log      *slog.Logger
	observe  Observer
	trouble  func(error) Trouble
	now      func() time.Time

	services map[string]*entry // :: service name → service
	targets  map[string]*bound // :: X-Amz-Target → operation
	actions  map[string]*bound // :: API version + "/" + Action → operation
	versions map[string]*Service
}

// entry is a registered service.
type entry struct {
	service    *Service
	operations map[string]*bound
}

// bound is an operation and where it belongs.
type bound struct {
	service *Service
	info    *OperationInfo
	op      Operation
}

// NewRegistry returns an empty registry.
func NewRegistry(c Config) *Registry {
	g := &Registry{
		recorder: c.Recorder,
		log:      c.Log,
		observe:  c.Observe,
		trouble:  c.Trouble,
		now:      c.Now,
		services: make(map[string]*entry),
		targets:  make(map[string]*bound),
		actions:  make(map[string]*bound),
		versions: make(map[string]*Service),
	}
	if g.observe == nil {
		g.observe = func(*Call, int, time.Duration) {}
	}
	if g.trouble == nil {
		g.trouble = func(error) Trouble { return NoTrouble }
	}
	if g.now == nil {
		g.now = time.Now
	}
	return g
}

// Register adds a service with its operations. It panics if the operations are
// not exactly those that s says are built, or if s is there already: either is a
// mistake in the program, and found when it starts.
func (g *Registry) Register(s *Service, ops ...Operation) {
	if g.services[s.Name] != nil {
		panic("wire: service " + s.Name + " registered twice")
	}
	e := &entry{service: s, operations: make(map[string]*bound)}
	for _, op := range ops {
		i := slices.IndexFunc(s.Operations, func(o OperationInfo) bool { return o.Name == op.name })
		if i < 0 || !s.Operations[i].Built || e.operations[op.name] != nil {
			panic(fmt.Sprintf("wire: operation %s:%s is unknown, not built or registered twice", s.Name, op.name))
		}
		e.operations[op.name] = &bound{s, &s.Operations[i], op}
	}
	for i := range s.Operations {
		if o := &s.Operations[i]; o.Built && e.operations[o.Name] == nil {
			panic(fmt.Sprintf("wire: operation %s:%s is built but not registered", s.Name, o.Name))
		}
	}
	g.services[s.Name] = e
	for name, b := range e.operations {
		if s.Protocol == Query {
			g.actions[s.APIVersion+"/"+name] = b
		} else {
			g.targets[s.TargetPrefix+"."+name] = b
		}
	}
	if s.Protocol == Query {
		if g.versions[s.APIVersion] != nil {
			// Query requests name no service, only a version.
			panic("wire: two Query services of version " + s.APIVersion)
		}
		g.versions[s.APIVersion] = s
	}
}

// find returns a registered operation by its names.
func (g *Registry) find(service, operation string) (*bound, error) {
	if e := g.services[service]; e != nil {
		if b := e.operations[operation]; b != nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("no operation %s:%s", service, operation)
}
