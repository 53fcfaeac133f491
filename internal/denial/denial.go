package denial

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// Denial is a decision that refused a call. Its JSON is what the database keeps
// and the operator is shown; members may be added.
type Denial struct {
	// RequestID is that of the request as its caller saw it. CallID is that of
	// the call within it that was denied, EventID that of its audit record; a denied
	// bearer of an ID token has none.
	RequestID string    `json:"requestId"`
	CallID    string    `json:"callId"`
	EventID   string    `json:"eventId"`
	Time      time.Time `json:"time"`
	Principal Principal `json:"principal"`
	// Service, Operation and Region are those of the call that was denied; Via is
	// the service that made it on the principal's behalf.
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Region    string `json:"region"`
	Via       string `json:"via,omitempty"`
	// Explanation is all that can be said. Told is what the principal's account
	// may see of it, nil when that is everything.
	Explanation *policy.Explanation `json:"explanation"`
	Told        *policy.Explanation `json:"told,omitempty"`
	// Keys are condition keys of the request that the account may see.
	Keys []Key `json:"conditionKeys,omitempty"`

	// number counts the refused decisions of one call.
	number int64
}

// Principal is who called.
type Principal struct {
	Type    string `json:"type"`
	Account string `json:"account"`
	ARN     string `json:"arn"`
	ID      string `json:"id"`
	// Name is that of an IAM user.
	Name string `json:"name,omitempty"`
}

// Key is a condition key with its values.
type Key struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// explain makes the denial of a refused decision of call.
func explain(call *wire.Call, number int64, e *auth.Evidence) *Denial {
	p := call.Principal
	d := &Denial{
		RequestID: outermost(call).RequestID, CallID: call.RequestID, EventID: call.EventID, Time: call.Start.UTC(),
		Principal: Principal{Type: string(p.Type), Account: p.Account, ARN: p.ARN, ID: p.UserID, Name: p.UserName},
		Service:   call.Service.Name, Operation: call.Operation, Region: call.Region, Via: call.Via, number: number,
	}
	d.Explanation, d.Told = e.Explain()
	abridge(d.Explanation)
	if d.Told != nil {
		abridge(d.Told)
	}
	for _, k := range e.Keys() {
		d.Keys = append(d.Keys, Key{k.Name, few(k.Values)})
	}
	return d
}

func outermost(c *wire.Call) *wire.Call {
	for c.Parent != nil {
		c = c.Parent
	}
	return c
}

// ForAccount is the explanation as the principal's account may see it.
func (d *Denial) ForAccount() *policy.Explanation {
	if d.Told != nil {
		return d.Told
	}
	return d.Explanation
}

// Text is the denial for a terminal, with an explanation of it: the whole one or
// the account's.
func (d *Denial) Text(x *policy.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Request %s, %s\n", show(d.RequestID), d.Time.Format(time.RFC3339))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	if d.Principal.ID != "" {
		line("principal", "%s, of account %s", show(d.Principal.ID), show(d.Principal.Account))
	} else {
		line("principal", "of account %s", show(d.Principal.Account))
	}
	line("call", "%s:%s in %s", show(d.Service), show(d.Operation), show(d.Region))
	if d.Via != "" {
		line("made by", "%s on the principal's behalf, as request %s", show(d.Via), show(d.CallID))
	}
	if d.Principal.Type == string(aws.PrincipalWebIdentity) {
		// Denied before the call began, as a stranger (decision 0006).
		line("audit", "counted, not recorded")
	} else {
		line("audit", "event %s", show(d.EventID))
	}
	b.WriteString("\n" + x.String())
	return b.String()
}

// show quotes what could speak to a terminal.
func show(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

const (
	// most is how many values of a list are kept; a text shows fewer.
	most = 20
	// maxBytes bounds the texts of an explanation. Whoever writes policies could
	// otherwise have them repeated, with the request's values, denial after
	// denial.
	maxBytes = 512 << 10
)

func few(values []string) []string {
	if len(values) <= most {
		return values
	}
	return append(values[:most:most], fmt.Sprintf("(%d more)", len(values)-most))
}

// abridge keeps an explanation within bounds: first lists, then statements that
// are far from matching, then all that did not match.
func abridge(x *policy.Explanation) {
	for i := range x.Policies {
		for j := range x.Policies[i].Statements {
			st := &x.Policies[i].Statements[j]
			for k := range st.Conditions {
				st.Conditions[k].Want, st.Conditions[k].Got = few(st.Conditions[k].Want), few(st.Conditions[k].Got)
			}
			for k := range st.Elements {
				st.Elements[k].Values = few(st.Elements[k].Values)
			}
		}
	}
	for misses := 1; misses >= 0 && size(x) > maxBytes; misses-- {
		left := 0
		for i := range x.Policies {
			p := &x.Policies[i]
			kept := p.Statements[:0]
			for _, st := range p.Statements {
				if len(st.Misses) <= misses {
					kept = append(kept, st)
				}
			}
			left += len(p.Statements) - len(kept)
			p.Statements = kept
		}
		x.Withheld = append(x.Withheld, fmt.Sprintf("%d statements that do not match: there are too many to keep", left))
	}
}

// size is about how long an explanation is.
func size(x *policy.Explanation) (n int) {
	add := func(texts ...string) {
		for _, text := range texts {
			n += len(text) + 8
		}
	}
	for i := range x.Policies {
		for j := range x.Policies[i].Statements {
			st := &x.Policies[i].Statements[j]
			n += 64
			for _, m := range st.Misses {
				add(m.Element, m.Detail)
			}
			for k := range st.Conditions {
				c := &st.Conditions[k]
				add(c.Operator, c.Key)
				add(c.Want...)
				add(c.Got...)
			}
			for k := range st.Elements {
				add(st.Elements[k].Values...)
			}
		}
	}
	return n
}
