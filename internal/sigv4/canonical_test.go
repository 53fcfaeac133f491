package sigv4

import (
	"net/http"
	"net/url"
	"testing"
)

func TestPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                "/",
		"/":               "/",
		"//":              "/",
		"/./":             "/",
		"/..":             "/",
		"/../..":          "/",
		"/a":              "/a",
		"/a/":             "/a/",
		"/a/.":            "/a",
		"/a/..":           "/",
		"/a/../":          "/",
		"/a/b/..":         "/a",
		"/a/b/../":        "/a/",
		"/a/b/../../c":    "/c",
		"/../a":           "/a",
		"//a///b//":       "/a/b/",
		"/.a/..b/c..":     "/.a/..b/c..",
		"/a%20b":          "/a%2520b",
		"/%E1%88%B4":      "/%25E1%2588%25B4",
		"/a%2Fb":          "/a%252Fb",
		"/%2e%2e/a":       "/%252e%252e/a",
		"/a+b:c@d,e!f":    "/a%2Bb%3Ac%40d%2Ce%21f",
		"/-._~":           "/-._~",
		"/2015-03-31/f/x": "/2015-03-31/f/x",
	} {
		if got := string(appendPath([]byte("POST\n"), in)); got != "POST\n"+want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"a":                           "a=",
		"a=":                          "a=",
		"&&a=1&":                      "a=1",
		"b=2&a=1":                     "a=1&b=2",
		"a=2&a=1":                     "a=1&a=2",
		"a=b=c":                       "a=b%3Dc",
		"a=x+y%20z":                   "a=x%20y%20z",
		"a=%2b":                       "a=%2B",
		"a=;":                         "a=%3B",
		"%C3%A9=1&z=2":                "%C3%A9=1&z=2",
		"A=1&a=2&B=3":                 "A=1&B=3&a=2",
		"a-b=1&a=2":                   "a=2&a-b=1",
		"a%3D=1&a=2":                  "a=2&a%3D=1",
		"X-Amz-Signature=x&X-Amz-A=1": "X-Amz-A=1",
		"=v":                          "=v",
	} {
		q, err := parseQuery(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := string((&Signature{query: q}).appendQuery(nil)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"a=%", "a=%2", "%zz", "a=1&b=%g0"} {
		if _, err := parseQuery(in); err != ErrSignature {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestHeader(t *testing.T) {
	r := &http.Request{Host: "example.com:4766", ContentLength: 7, URL: &url.URL{}, Header: http.Header{
		"Plain":       {"v"},
		"Trimmed":     {" \tv\t "},
		"Collapsed":   {"  a   b  c "},
		"Quoted":      {`"a   b"`},
		"Tabs":        {"a\t\tb"},
		"Repeated":    {"b", " a ", "b"},
		"Empty":       {""},
		"X-A-1b-C":    {"cased"},
		"No-Values":   {},
		"Weird!name":  {"token"},
		"Two":         {"", ""},
		"Only-Spaces": {"    "},
	}}
	for name, want := range map[string]string{
		"host":           "example.com:4766",
		":authority":     "example.com:4766",
		"content-length": "7",
		"plain":          "v",
		"trimmed":        "v",
		"collapsed":      "a b c",
		"quoted":         `"a b"`,
		"tabs":           "a\t\tb",
		"repeated":       "b,a,b",
		"empty":          "",
		"x-a-1b-c":       "cased",
		"weird!name":     "token",
		"two":            ",",
		"only-spaces":    "",
	} {
		if got, ok := (&Signature{r: r}).appendHeader(nil, name); !ok || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"gone", "no-values"} {
		if got, ok := (&Signature{r: r}).appendHeader(nil, name); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if _, ok := (&Signature{r: &http.Request{}}).appendHeader(nil, "host"); ok {
		t.Error("request without a host")
	}
}

// A value with a line break could otherwise stand for two headers.
func TestLineBreakIsNoHeader(t *testing.T) {
	r := &http.Request{Host: "h", URL: &url.URL{}, Header: http.Header{"A": {"1\nb:2"}}}
	if _, ok := (&Signature{r: r, SignedHeaders: []string{"a", "host"}}).appendCanonical(nil, nil); ok {
		t.Error("accepted")
	}
}
