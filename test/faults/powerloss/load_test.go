package powerloss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/workload"
	"github.com/strongroom/strongroom/test/faults/program"
)

const (
	writers = 64
	readers = 4
)

// load is all clients of a deployment, with what they were told.
type load struct {
	*workload.Workload
	m *machine

	mu    sync.Mutex
	reads []read
}

// read is an answered GetSecretValue.
type read struct {
	request string
	at      time.Time
}

// quiet is the secret that the readers read.
const quiet = "read by all"

func newLoad(ctx context.Context, m *machine, s *program.Server, seed uint64) (*load, error) {
	_, err := secrets(s).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("quiet"), SecretString: aws.String(quiet)})
	if err != nil {
		return nil, err
	}
	w, err := workload.New(ctx, workload.Config{
		Endpoints: []string{s.URL}, HTTP: s.HTTP(), Credentials: s.Admin, Regions: [2]string{servertest.Region, servertest.Other}, Seed: seed,
		Writers: writers, Records: workload.Chains(m.Dir), QuietMayBeLost: !m.synced(),
	})
	return &load{Workload: w, m: m}, err
}

func secrets(s *program.Server) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(s.AWS(servertest.Region))
}

// run writes and reads until the server is gone.
func (l *load) run(ctx context.Context, s *program.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-s.Ended()
		cancel()
	}()
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = l.Run(ctx) })
	wrong := make(chan error, readers)
	for range readers {
		wg.Go(func() { wrong <- l.read(ctx, s) })
	}
	wg.Wait()
	for range readers {
		err = errors.Join(err, <-wrong)
	}
	return err
}

func (l *load) read(ctx context.Context, s *program.Server) error {
	client := secrets(s)
	for {
		request, err := readOnce(ctx, client)
		if e, ok := errors.AsType[smithy.APIError](err); ok {
			return fmt.Errorf("read: %w", e)
		}
		if err != nil {
			return nil // No answer.
		}
		l.mu.Lock()
		l.reads = append(l.reads, read{request, time.Now()})
		l.mu.Unlock()
	}
}

func readOnce(ctx context.Context, client *secretsmanager.Client) (request string, err error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("quiet")})
	if err != nil {
		return "", err
	}
	if *out.SecretString != quiet {
		return "", &smithy.GenericAPIError{Code: "test", Message: "the secret has another value: " + *out.SecretString}
	}
	request, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	return request, nil
}

// faults is what is not as it must be; a load reports to it.
type faults []string

func (f *faults) Helper() {}

func (f *faults) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// String joins them.
func (f faults) String() string {
	more := ""
	if len(f) > 20 {
		more = fmt.Sprintf("\n… and %d more", len(f)-20)
		f = f[:20]
	}
	return strings.Join(f, "\n") + more
}

// verify compares what is there after a cut with what the clients were told.
func (l *load) verify(t *testing.T, s *program.Server, all bool, safe, cut time.Time, sum *figures) (f faults) {
	t.Helper()
	l.SetEndpoints(s.URL)
	look := l.VerifyRecent
	if all {
		look = l.Verify
	}
	r := look(t.Context(), &f)
	sum.unknown, sum.done, sum.objects = sum.unknown+r.Unknown, sum.done+r.Done, sum.objects+r.Objects
	l.verifyRecords(t.Context(), safe, cut, sum, &f)
	if out, stderr, err := l.m.Run("check"); err != nil {
		f.Errorf("strongroom check: %v\n%s%s", err, out, stderr)
	}
	if len(f) > 0 {
		return f
	}
	// What was seen in the audit log is not to be lost by the next cut, or its numbers would be given to other records.
	asked := time.Now()
	if _, err := readOnce(t.Context(), secrets(s)); err != nil {
		f.Errorf("read after the start: %v", err)
		return f
	}
	for l.m.safe().Before(asked) {
		if time.Since(asked) > time.Minute {
			f.Errorf("the audit log is not flushed within a minute")
			return f
		}
		time.Sleep(time.Millisecond)
	}
	return f
}

// verifyRecords looks for the records of reads that were answered, and for the one that says that the log was not closed.
func (l *load) verifyRecords(ctx context.Context, safe, cut time.Time, sum *figures, f *faults) {
	requests := map[string]int{}
	var started struct {
		EventName string `json:"eventName"`
		RequestID string `json:"requestID"`
		Details   struct {
			Start *struct {
				Clean bool   `json:"clean"`
				First uint64 `json:"first"`
			} `json:"start"`
		} `json:"serviceEventDetails"`
	}
	said := started
	node, err := server.Node(l.m.Dir)
	if err == nil {
		err = audit.Scan(ctx, filepath.Join(l.m.Dir, server.AuditDir), node, 1, func(e audit.Entry) error {
			r := said
			r.RequestID, r.EventName, r.Details.Start = "", "", nil
			if err := json.Unmarshal(e.Body, &r); err != nil {
				return fmt.Errorf("record %d: %w", e.Seq, err)
			}
			requests[r.RequestID]++
			if r.EventName == "StrongroomAuditStarted" {
				started = r
			}
			return nil
		})
	}
	if err != nil {
		f.Errorf("read the audit log: %v", err)
	}
	if started.Details.Start == nil || started.Details.Start.Clean {
		f.Errorf("the record of the start does not say that the log was not closed: %+v", started.Details.Start)
	}
	for _, r := range l.reads {
		switch n := requests[r.request]; {
		case n > 1:
			f.Errorf("a read has %d records", n)
		case n == 1:
		case l.m.synced():
			f.Errorf("the record of an acknowledged read is gone, %v before the cut", cut.Sub(r.at))
		case r.at.Before(safe):
			f.Errorf("the record of a read is gone, which was answered %v before the last flush", safe.Sub(r.at))
		default:
			sum.readsLost++
			sum.window = max(sum.window, cut.Sub(r.at))
		}
	}
	sum.reads += len(l.reads)
	l.reads = nil
}
