package sigv4_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/sigv4"
)

// The derivation example of the IAM User Guide, "Create a signed AWS API
// request".
func TestSigningKeyOfTheGuide(t *testing.T) {
	k := sigv4.SigningKey([]byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), "20120215", "us-east-1", "iam")
	if got := hex.EncodeToString(k[:]); got != "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d" {
		t.Error(got)
	}
}

// Signatures published in AWS's test suite for Signature Version 4, for the same
// secret, on 30 August 2015, region us-east-1, service "service".
func TestPublishedSuite(t *testing.T) {
	const vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
	for _, c := range []struct{ title, target, headers, body, signed, signature string }{
		{"get-vanilla", "GET /", "", "", "host;x-amz-date", vanilla},
		{"get-relative", "GET /example/..", "", "", "host;x-amz-date", vanilla},
		{"get-relative-relative", "GET /example1/example2/../..", "", "", "host;x-amz-date", vanilla},
		{"get-slash", "GET //", "", "", "host;x-amz-date", vanilla},
		{"get-slash-dot-slash", "GET /./", "", "", "host;x-amz-date", vanilla},
		{"get-vanilla-query-order-key-case", "GET /?Param2=value2&Param1=value1", "", "", "host;x-amz-date",
			"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-header-key-duplicate", "GET /", "My-Header1: value2\r\nMy-Header1: value2\r\nMy-Header1: value1\r\n", "", "host;my-header1;x-amz-date",
			"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
		{"get-header-value-trim", "GET /", "My-Header1:  value1\r\nMy-Header2: \"a   b   c\" \r\n", "", "host;my-header1;my-header2;x-amz-date",
			"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-vanilla", "POST /", "", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-x-www-form-urlencoded", "POST /", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 13\r\n", "Param1=value1",
			"content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		t.Run(c.title, func(t *testing.T) {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.target + " HTTP/1.1\r\nHost: example.amazonaws.com\r\n" + c.headers +
				"X-Amz-Date: 20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" +
				c.signed + ", Signature=" + c.signature + "\r\n\r\n" + c.body)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.CheckScope("service", anyRegion, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), 0); err != nil {
				t.Fatal(err)
			}
			key := sigv4.SigningKey([]byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), s.Date, s.Region, s.Service)
			sum := sha256.Sum256(body)
			if err := s.Verify(&key, &sum, false); err != nil {
				t.Error(err)
			}
		})
	}
}
