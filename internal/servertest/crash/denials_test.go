package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/pgtest"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// window is far more than the second within which an explanation is written: this
// machine may have other things to do.
const window = 15 * time.Second

// TestDenialsKilled: a crash takes the explanations of the last moment along, and
// no others; and no record of a denial at all.
func TestDenialsKilled(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			database := ""
			if engine == "postgresql" {
				database = pgtest.Start(t)
			}
			killAfterDenials(t, database)
		})
	}
}

func killAfterDenials(t *testing.T, database string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	operations := l.Addr().String()
	l.Close()
	p := program.NewPlace(t, database, settings+"operations: "+operations+"\n")
	p.Init(t)
	s := p.Start(t)
	c := nobody(t, s)
	var all []string
	var last []time.Time
	for range 20 {
		all = append(all, denied(t, c))
	}
	for deadline := time.Now().Add(window); explained(t, operations) < len(all); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("denials are not explained in time")
		}
	}
	certain := len(all)
	for range 5 {
		last = append(last, time.Now())
		all = append(all, denied(t, c))
	}
	s.Kill()
	killed := time.Now()

	p.Start(t)
	lost := 0
	for i, id := range all {
		_, err := p.Run(t, "explain", id)
		switch {
		case err == nil && lost > 0:
			t.Errorf("denial %d is explained, %d before it are not", i, lost)
		case err != nil && !strings.Contains(err.Error(), "no denial is known"):
			t.Fatal(err)
		case err != nil && i < certain:
			t.Errorf("denial %d is not explained any more: %v", i, err)
		case err != nil:
			lost++
		}
	}
	if lost > 0 {
		if age := killed.Sub(last[len(last)-lost]); age > window {
			t.Errorf("an explanation was lost that was %v old", age)
		} else {
			t.Logf("%d explanations were lost, the oldest %v before the kill", lost, age.Round(time.Millisecond))
		}
	}
	recorded(t, p, all)
}

// nobody is a client with a key and no permissions.
func nobody(t *testing.T, s *program.Process) *secretsmanager.Client {
	t.Helper()
	c := iam.NewFromConfig(clients(s, s.Admin))
	if _, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("nobody")}); err != nil {
		t.Fatal(err)
	}
	out, err := c.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("nobody")})
	if err != nil {
		t.Fatal(err)
	}
	return secretsmanager.NewFromConfig(clients(s, server.Credentials{AccessKeyID: *out.AccessKey.AccessKeyId, SecretAccessKey: *out.AccessKey.SecretAccessKey}))
}

// denied makes a call that is, and returns its request id.
func denied(t *testing.T, c *secretsmanager.Client) string {
	t.Helper()
	_, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("nothing")})
	r, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || r.HTTPStatusCode() != http.StatusBadRequest || r.ServiceRequestID() == "" {
		t.Fatalf("not denied: %v", err)
	}
	return r.ServiceRequestID()
}

// explained is how many denials are in the database.
func explained(t *testing.T, operations string) (n int) {
	t.Helper()
	res, err := http.Get("http://" + operations + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	const name = "\nstrongroom_denials_explained_total "
	_, rest, ok := bytes.Cut(b, []byte(name))
	if _, err := fmt.Sscan(string(rest), &n); err != nil || !ok {
		t.Fatalf("no counter of explained denials: %v", err)
	}
	return n
}

// recorded fails unless each denial is in the audit log once.
func recorded(t *testing.T, p program.Place, all []string) {
	t.Helper()
	count := map[string]int{}
	s := source(t, p, true)
	err := audit.Scan(t.Context(), s.Dir, s.Node, 1, func(e audit.Entry) error {
		var r struct{ RequestID, ErrorCode string }
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return err
		}
		if r.ErrorCode == "AccessDenied" || r.ErrorCode == "AccessDeniedException" {
			count[r.RequestID]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range all {
		if count[id] != 1 {
			t.Errorf("denial %d has %d audit records", i, count[id])
		}
	}
}
