package auth_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/servertest"
)

// A presigned request is a credential for what it asks. All but the proof of
// identity live for 15 minutes at most, whatever they say; the proof is in
// internal/sts.
func TestPresignedRequestsEndSoon(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	s := servertest.Start(t, servertest.Now(func() time.Time { return now }))
	stamp := func(t time.Time) string { return t.Format("20060102T150405Z") }
	const limit = 15 * time.Minute
	for _, c := range []struct {
		name    string
		expires string
		signed  time.Duration // ago
		status  int
		message string
	}{
		{"fresh", "604800", 0, 200, ""},
		{"15 minutes old", "604800", limit, 200, ""},
		{"a second older", "604800", limit + time.Second, 403, "Signature expired: " + stamp(now.Add(-time.Second)) + " is now earlier than " + stamp(now) + " (" + stamp(now) + ")"},
		{"past its own short life", "60", time.Minute + time.Second, 403, "Signature expired: " + stamp(now.Add(-time.Second)) + " is now earlier than " + stamp(now) + " (" + stamp(now) + ")"},
		{"early within the tolerance", "60", -limit, 200, ""},
		{"too early", "60", -limit - time.Second, 403, "Signature not yet current: " + stamp(now.Add(limit+time.Second)) + " is still later than " + stamp(now.Add(limit)) + " (" + stamp(now) + " + 15 min.)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := listUsers()
			q.At = now.Add(-c.signed)
			q.Before = func(r *http.Request) {
				v := r.URL.Query()
				v.Set("X-Amz-Expires", c.expires)
				r.URL.RawQuery = v.Encode()
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Presign(t, q), nil)
			if err != nil {
				t.Fatal(err)
			}
			a := s.Do(t, r)
			if _, message := a.Error(); a.Status != c.status || message != c.message {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
		})
	}
}

// Repeated query keys are signed in the order of their values, and then refused
// by the protocol, which has no use for them: never the one value checked and the
// other used.
func TestRepeatedQueryKeys(t *testing.T) {
	s := servertest.Start(t)
	q := servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.ListSecrets", Body: "{}", URL: "/?b=2&a=1&b=1&b=&a&%61=1"}
	if a := s.Send(t, q); a.Status != http.StatusOK {
		t.Errorf("beside JSON: %d %s", a.Status, a.Body)
	}
	u := listUsers()
	u.Method = http.MethodGet
	u.Before = func(r *http.Request) { r.URL.RawQuery += "&" + url.Values{"Action": {"CreateUser"}}.Encode() }
	a := s.Send(t, u)
	if code, _ := a.Error(); a.Status != http.StatusNotFound || code != "MalformedQueryString" {
		t.Errorf("two actions: %d %s", a.Status, a.Body)
	}
}
