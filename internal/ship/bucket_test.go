package ship

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/egress"
	"github.com/strongroom/strongroom/internal/sigv4"
)

// verifier is a small bucket that believes nothing but signatures: those are checked
// by the code that checks our own clients'.
type verifier struct {
	t      *testing.T
	secret string
	mu     sync.Mutex
	held   map[string][]byte
	calls  int
	refuse int // a status to answer with instead
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		v.t.Error(err)
	}
	sum := sha256.Sum256(body)
	s, err := sigv4.Parse(r)
	if err == nil {
		err = s.CheckScope("s3", func(region string) bool { return region == "eu-test-1" }, time.Now(), 5*time.Minute)
	}
	if err == nil {
		key := sigv4.SigningKey([]byte(v.secret), s.Date, s.Region, "s3")
		err = s.Verify(&key, &sum, false)
	}
	if err == nil && (s.AccessKeyID != "AKIDEXAMPLE" || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:])) {
		err = errors.New("another key or hash")
	}
	fail := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>not for our log</Message></Error>", code)
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/bucket/")
	switch {
	case err != nil:
		fail(http.StatusForbidden, "SignatureDoesNotMatch")
	case v.refuse != 0:
		fail(v.refuse, "SlowDown")
	case r.URL.Path == "/bucket" && r.Method == http.MethodGet:
		v.list(w, r)
	case !ok:
		fail(http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodPut:
		v.held[name] = body
	case r.Method == http.MethodDelete:
		delete(v.held, name)
		w.WriteHeader(http.StatusNoContent)
	case v.held[name] == nil:
		fail(http.StatusNotFound, "NoSuchKey")
	default:
		w.Write(v.held[name])
	}
}

// list answers with two names at a time.
func (v *verifier) list(w http.ResponseWriter, r *http.Request) {
	type content struct{ Key string }
	var page struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []content
		IsTruncated           bool
		NextContinuationToken string
	}
	q := r.URL.Query()
	var names []string
	for name := range v.held {
		if strings.HasPrefix(name, q.Get("prefix")) && name > q.Get("continuation-token") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > 2 {
		names = names[:2]
		page.IsTruncated, page.NextContinuationToken = true, names[1]
	}
	for _, name := range names {
		page.Contents = append(page.Contents, content{name})
	}
	_ = xml.NewEncoder(w).Encode(page)
}

func newBucket(t *testing.T, secret string) (*Bucket, *verifier) {
	t.Helper()
	v := &verifier{t: t, secret: "a secret +/=", held: make(map[string][]byte)}
	h := httptest.NewServer(v)
	t.Cleanup(h.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = "+secret+"\naws_session_token=token/+=\n[other]\naws_access_key_id = no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBucket(BucketConfig{Name: "bucket", Prefix: "some/where", Endpoint: h.URL, Region: "eu-test-1",
		Credentials: FileCredentials(file), Dialer: egress.New(egress.Config{Loopback: egress.Always})})
	if err != nil {
		t.Fatal(err)
	}
	return b, v
}

func TestBucket(t *testing.T) {
	t.Parallel()
	b, v := newBucket(t, "a secret +/=")
	ctx := t.Context()
	if _, err := b.Get(ctx, "x/none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("none: %v", err)
	}
	var names []string
	for i := range 7 {
		name := fmt.Sprintf("x/log-%012d", i)
		names = append(names, name)
		if err := b.Put(ctx, name, bytes.Repeat([]byte{byte(i)}, i*1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put(ctx, "y/other", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if got, err := b.List(ctx, "x/"); err != nil || !slices.Equal(got, names) {
		t.Errorf("list: %v, %v", got, err)
	}
	if got, err := b.Get(ctx, names[3]); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{3}, 3000)) {
		t.Errorf("get: %d bytes, %v", len(got), err)
	}
	for range 2 {
		if err := b.Delete(ctx, names[3]); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := b.Get(ctx, names[3]); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	v.mu.Lock()
	v.refuse = http.StatusServiceUnavailable
	v.mu.Unlock()
	if err := b.Put(ctx, "x/no", nil); err == nil || !strings.Contains(err.Error(), "503 SlowDown") || strings.Contains(err.Error(), "our log") {
		t.Errorf("refused: %v", err)
	}
	wrong, _ := newBucket(t, "another secret")
	if err := wrong.Put(ctx, "x/no", nil); err == nil || !strings.Contains(err.Error(), "403 SignatureDoesNotMatch") {
		t.Errorf("another secret: %v", err)
	}
	for _, name := range []string{"", "a", "UPPER", "a/b", "a b"} {
		if _, err := OpenBucket(BucketConfig{Name: name}); err == nil {
			t.Errorf("bucket %q is taken", name)
		}
	}
}

// TestShipToBucket: the whole way through a bucket.
func TestShipToBucket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bucket, v := newBucket(t, "a secret +/=")
	b.target = bucket
	b.open()
	b.put("first")
	b.flush()
	b.copy()
	for i := range 20 {
		b.put(fmt.Sprint("row ", i))
		b.flush()
	}
	b.close()
	if got, _, err := b.restore(time.Time{}); err != nil || len(got) != 21 {
		t.Errorf("%d rows, %v", len(got), err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, object := range v.held {
		if bytes.Contains(object, []byte("row 1")) || bytes.Contains(object, []byte("store_commits")) || bytes.Contains(object, []byte("111122223333")) {
			t.Errorf("%s is in the clear", name)
		}
	}
}
