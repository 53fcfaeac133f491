package ship

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/egress"
	"github.com/strongroom/strongroom/internal/sigv4"
)

// BucketConfig is a bucket of S3 or of what speaks its protocol. Four operations on
// whole small objects are all that is needed of that, so they stand here instead of an
// SDK.
type BucketConfig struct {
	// Name is the bucket, Prefix what names in it begin with.
	Name, Prefix string
	// Endpoint is the https URL; "" means Amazon's of the region.
	Endpoint, Region string
	// Credentials are asked for with each request, so that they may change.
	Credentials func() (BucketCredentials, error)
	Dialer      *egress.Dialer
	Now         func() time.Time
}

// BucketCredentials sign requests.
type BucketCredentials struct{ ID, Secret, Token string }

// Bucket is a target.
type Bucket struct {
	c BucketConfig
	// sessions are free ones: as many requests as there are go at once.
	sessions chan *egress.Session
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)
)

// OpenBucket returns a target. Nothing is asked of it yet.
func OpenBucket(c BucketConfig) (*Bucket, error) {
	if !bucketName.MatchString(c.Name) {
		return nil, fmt.Errorf("%q is not the name of a bucket", c.Name)
	}
	c.Prefix = strings.Trim(c.Prefix, "/")
	if !prefixName.MatchString(c.Prefix) {
		return nil, fmt.Errorf("the prefix %q is not of letters, digits and . _ - /", c.Prefix)
	}
	if c.Prefix != "" {
		c.Prefix += "/"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://s3." + c.Region + ".amazonaws.com"
	}
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	if c.Now == nil {
		c.Now = time.Now
	}
	b := &Bucket{c: c, sessions: make(chan *egress.Session, ahead+2)}
	for range cap(b.sessions) {
		s, err := c.Dialer.Session(c.Endpoint, egress.Options{MaxBody: maxObject})
		if err != nil {
			return nil, err
		}
		b.sessions <- s
	}
	return b, nil
}

// String is the bucket's URL.
func (b *Bucket) String() string { return "s3://" + b.c.Name + "/" + b.c.Prefix }

// Put stores an object.
func (b *Bucket) Put(ctx context.Context, name string, object []byte) error {
	_, err := b.do(ctx, http.MethodPut, name, nil, object, http.StatusOK)
	return err
}

// Get returns an object.
func (b *Bucket) Get(ctx context.Context, name string) ([]byte, error) {
	a, err := b.do(ctx, http.MethodGet, name, nil, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	return a.Body, nil
}

// Delete removes an object.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	_, err := b.do(ctx, http.MethodDelete, name, nil, nil, http.StatusNoContent, http.StatusOK)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// maxPages bounds a list that never ends.
const maxPages = 100_000

// List returns the names below a prefix.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	var out []string
	query := url.Values{"list-type": {"2"}, "prefix": {b.c.Prefix + prefix}}
	for range maxPages {
		a, err := b.do(ctx, http.MethodGet, "", query, nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents []struct{ Key string }
			More     bool   `xml:"IsTruncated"`
			Next     string `xml:"NextContinuationToken"`
		}
		if err := xml.Unmarshal(a.Body, &page); err != nil {
			return nil, fmt.Errorf("list %s: the answer is not a list", b)
		}
		for _, c := range page.Contents {
			if name, ok := strings.CutPrefix(c.Key, b.c.Prefix); ok && strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		if !page.More {
			slices.Sort(out)
			return out, nil
		}
		if page.Next == "" {
			break
		}
		query.Set("continuation-token", page.Next)
	}
	return nil, fmt.Errorf("list %s: the list has no end", b)
}

// do sends a signed request; name "" means the bucket itself.
func (b *Bucket) do(ctx context.Context, method, name string, query url.Values, body []byte, want ...int) (*egress.Answer, error) {
	// Path style: it needs no name of the bucket in DNS and in certificates.
	target := b.c.Endpoint + "/" + b.c.Name
	if name != "" {
		target += "/" + b.c.Prefix + name
	}
	// Sorted, and with %20 for spaces: as it is signed.
	target += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(target, "?"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "strongroom")
	c, err := b.c.Credentials()
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", b, err)
	}
	sign(r, body, b.c.Region, c, b.c.Now())
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case s := <-b.sessions:
		defer func() { b.sessions <- s }()
		a, err := s.Do(ctx, r)
		if err != nil {
			return nil, err
		}
		return a, b.judge(a, name, want)
	}
}

// judge makes an error of an answer that is none of those wanted.
func (b *Bucket) judge(a *egress.Answer, name string, want []int) error {
	if slices.Contains(want, a.Status) {
		return nil
	}
	var told struct{ Code string }
	_ = xml.Unmarshal(a.Body, &told) // What is no error in XML has no code.
	if !errorCode.MatchString(told.Code) {
		told.Code = ""
	}
	if a.Status == http.StatusNotFound && name != "" && told.Code != "NoSuchBucket" {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return fmt.Errorf("%s answered %d %s", b, a.Status, told.Code)
}

var errorCode = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// sign adds the signature of version 4, in S3's manner: the path is encoded once, and
// the hash of the body is a header. All paths and queries here are canonical as they
// are.
func sign(r *http.Request, body []byte, region string, c BucketCredentials, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Set("X-Amz-Date", stamp)
	signed := "host;x-amz-content-sha256;x-amz-date"
	headers := "host:" + r.URL.Host + "\nx-amz-content-sha256:" + payload + "\nx-amz-date:" + stamp + "\n"
	if c.Token != "" {
		r.Header.Set("X-Amz-Security-Token", c.Token)
		signed += ";x-amz-security-token"
		headers += "x-amz-security-token:" + c.Token + "\n"
	}
	canonical := sha256.Sum256([]byte(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n" + headers + "\n" + signed + "\n" + payload))
	scope := stamp[:8] + "/" + region + "/s3/aws4_request"
	key := sigv4.SigningKey([]byte(c.Secret), stamp[:8], region, "s3")
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte("AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(canonical[:])))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.ID+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(m.Sum(nil)))
}

// EnvironmentCredentials reads AWS's variables.
func EnvironmentCredentials(getenv func(string) string) func() (BucketCredentials, error) {
	return func() (BucketCredentials, error) {
		c := BucketCredentials{getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")}
		if c.ID == "" || c.Secret == "" {
			return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
		}
		return c, nil
	}
}

// FileCredentials reads a file of AWS's form each time: aws_access_key_id,
// aws_secret_access_key and perhaps aws_session_token, of the first section.
func FileCredentials(path string) func() (BucketCredentials, error) {
	return func() (c BucketCredentials, err error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return c, err
		}
		sections := 0
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				if sections++; sections > 1 {
					break
				}
			}
			name, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "aws_access_key_id":
				c.ID = value
			case "aws_secret_access_key":
				c.Secret = value
			case "aws_session_token":
				c.Token = value
			}
		}
		if c.ID == "" || c.Secret == "" {
			return c, errors.New("no aws_access_key_id and aws_secret_access_key in " + path)
		}
		return c, nil
	}
}
