package sigv4

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	isoBasic   = "20060102T150405Z"

	// MaxExpires is AWS's own limit for presigned requests (spec iam-sts.md 5).
	// A shorter one per operation is the caller's: compare Signature.Expires.
	MaxExpires = 7 * 24 * time.Hour
	// defaultExpires is how long a presigned request lives that does not say so.
	// The SDK for Go presigns GetCallerIdentity without X-Amz-Expires, and
	// aws-iam-authenticator, which lives on such requests, documents AWS's fixed
	// 15 minutes for them.
	defaultExpires = 15 * time.Minute

	// The bounds. Real requests use a tenth of each; session tokens have been
	// seen with 1,500 characters and travel in the query when presigned.
	maxAuthorization = 4 << 10
	maxQuery         = 16 << 10
	maxParameters    = 128
	maxSignedHeaders = 64
	maxHeaderName    = 128
	maxCanonical     = 64 << 10
)

// Signature is what a request claims about its signer. Until Verify succeeded
// none of it is proven. It refers to the request and must not outlive it.
type Signature struct {
	// AccessKeyID, Date (YYYYMMDD), Region and Service are the credential scope,
	// as the client wrote it.
	AccessKeyID, Date, Region, Service string
	// SignedHeaders are the names of the signed headers, lower case, ascending.
	SignedHeaders []string
	// SessionToken is empty for long-term keys.
	SessionToken string
	// Time is when the request says that it was signed, in UTC, whole seconds.
	Time time.Time
	// Presigned tells that the signature came in the query; Expires is then its
	// lifetime from Time on, else 0.
	Presigned bool
	Expires   time.Duration
	// PayloadHash is x-amz-content-sha256, empty when the client left it out.
	PayloadHash string

	r          *http.Request
	stamp      string // Time in ISO basic form, as it is signed
	terminator string
	signed     string // SignedHeaders in one piece
	signature  string
	query      []parameter // decoded and encoded again, nil without a query
	few        [8]string   // where SignedHeaders lie unless there are more
}

// Parse reads the signature of r without proving anything. It neither reads nor
// needs the body. Failures are of the classes MissingToken, Incomplete and, for what
// no client signs (streamed payloads, unsorted headers), InvalidSignature.
func Parse(r *http.Request) (*Signature, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, incomplete("The query string is longer than " + strconv.Itoa(maxQuery) + " bytes.")
	}
	s := &Signature{r: r}
	if r.URL.RawQuery != "" {
		var err error
		if s.query, err = parseQuery(r.URL.RawQuery); err != nil {
			return nil, err
		}
	}
	headers := r.Header["Authorization"]
	var err error
	switch presigned := s.hasPresigned(); {
	case presigned && len(headers) > 0:
		// The sentence is S3's, the class ours: no recording of another service
		// is known.
		err = incomplete("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, " +
			"Signature query string parameter or the Authorization header should be specified")
	case presigned:
		err = s.parsePresigned()
	case len(headers) == 0 || len(headers) == 1 && headers[0] == "":
		err = ErrMissing
	case len(headers) > 1:
		err = incomplete("Only one Authorization header is allowed.")
	case len(headers[0]) > maxAuthorization:
		err = incomplete("The Authorization header is longer than " + strconv.Itoa(maxAuthorization) + " bytes.")
	default:
		err = s.parseHeader(headers[0])
	}
	if err != nil {
		return nil, err
	}
	// Streams are S3's framing; no JSON or Query service speaks it
	// (spec iam-sts.md 5, answer unconfirmed).
	if strings.HasPrefix(s.PayloadHash, "STREAMING-") {
		return nil, ErrSignature
	}
	return s, nil
}

// parseHeader reads the Authorization header and the headers that go with it.
func (s *Signature) parseHeader(header string) error {
	scheme, list, _ := strings.Cut(header, " ")
	var credential, signature string
	if scheme == algorithm {
		for part := range strings.SplitSeq(list, ",") {
			part = strings.Trim(part, " \t")
			name, value, ok := strings.Cut(part, "=")
			if !ok {
				return incomplete("'" + quote(part) + "' not a valid key=value pair (missing equal-sign) in Authorization header: '" +
					showAuthorization(header) + "'.")
			}
			field := (*string)(nil)
			switch name {
			case "Credential":
				field = &credential
			case "SignedHeaders":
				field = &s.signed
			case "Signature":
				field = &signature
			default:
				continue
			}
			if *field != "" {
				return incomplete("Authorization header contains more than one '" + name + "' parameter. Authorization=" + showAuthorization(header))
			}
			*field = value
		}
	}
	// A repeated header reads as its joined values, which is what the client
	// signed; as a date, token or hash it then fails on its own account.
	date := joined(s.r.Header["X-Amz-Date"])
	if date == "" {
		date = joined(s.r.Header["Date"])
	}
	var missing string
	for _, m := range [...]struct{ value, sentence string }{
		{credential, "Authorization header requires 'Credential' parameter. "},
		{signature, "Authorization header requires 'Signature' parameter. "},
		{s.signed, "Authorization header requires 'SignedHeaders' parameter. "},
		{date, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "},
	} {
		if m.value == "" {
			missing += m.sentence
		}
	}
	if missing != "" {
		return incomplete(missing + "Authorization=" + showAuthorization(header))
	}
	s.signature = signature
	s.SessionToken = joined(s.r.Header["X-Amz-Security-Token"])
	s.PayloadHash = joined(s.r.Header["X-Amz-Content-Sha256"])
	return s.parseCommon(credential, date)
}

// parsePresigned reads the signature parameters of the query.
func (s *Signature) parsePresigned() error {
	var p presigned
	if name := p.collect(s.query); name != "" {
		return incomplete("AWS query-string parameters must not repeat '" + name + "'.")
	}
	// The sentences come from threads that quote live errors of other services;
	// spec iam-sts.md 5.2 has none for presigned requests.
	var missing string
	for _, m := range [...]struct{ value, name string }{
		{p.algorithm, "X-Amz-Algorithm"},
		{p.credential, "X-Amz-Credential"},
		{p.signature, "X-Amz-Signature"},
		{p.signedHeaders, "X-Amz-SignedHeaders"},
		{p.date, "X-Amz-Date"},
	} {
		if m.value == "" {
			missing += "AWS query-string parameters must include '" + m.name + "'. "
		}
	}
	if missing != "" {
		return incomplete(missing + "Re-examine the query-string parameters.")
	}
	if p.algorithm != algorithm {
		return incomplete(`X-Amz-Algorithm only supports "` + algorithm + `"`)
	}
	s.Presigned, s.Expires = true, defaultExpires
	if p.hasExpires {
		seconds, err := strconv.ParseUint(p.expires, 10, 32)
		if err != nil {
			return incomplete("X-Amz-Expires should be a number")
		}
		if seconds < 1 || seconds > uint64(MaxExpires/time.Second) {
			return incomplete("X-Amz-Expires must be between 1 and 604800 seconds")
		}
		s.Expires = time.Duration(seconds) * time.Second
	}
	s.signed, s.signature, s.SessionToken = p.signedHeaders, p.signature, p.token
	s.PayloadHash = p.payload
	if h := joined(s.r.Header["X-Amz-Content-Sha256"]); h != "" {
		s.PayloadHash = h
	}
	return s.parseCommon(p.credential, p.date)
}

func (s *Signature) parseCommon(credential, date string) error {
	scope := credential
	fields := [...]*string{&s.AccessKeyID, &s.Date, &s.Region, &s.Service, &s.terminator}
	for i, f := range fields {
		var more bool
		*f, scope, more = strings.Cut(scope, "/")
		if more != (i < len(fields)-1) {
			return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" +
				quote(credential) + "'")
		}
	}
	if !s.parseDate(date) {
		// The sentence is known from threads about other services.
		return incomplete("Date must be in ISO-8601 'basic format'. Got '" + quote(date) + "'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	return s.parseSignedHeaders()
}

// parseDate reads the ISO basic form, and HTTP's own for the Date header.
func (s *Signature) parseDate(date string) bool {
	t, err := time.Parse(isoBasic, date)
	if err == nil {
		s.Time, s.stamp = t, date
		// Parse lets a fraction pass that the layout does not name; what is signed
		// has none.
		return len(date) == len(isoBasic)
	}
	if t, err = http.ParseTime(date); err != nil {
		return false
	}
	s.Time = t.UTC()
	s.stamp = stamp(s.Time)
	return true
}

// parseSignedHeaders splits the list. AWS signs it sorted and in lower case; a
// list in another form would have two canonical readings, so none verifies.
func (s *Signature) parseSignedHeaders() error {
	n := strings.Count(s.signed, ";") + 1
	if n > maxSignedHeaders {
		return incomplete("SignedHeaders has more than " + strconv.Itoa(maxSignedHeaders) + " elements.")
	}
	s.SignedHeaders = s.few[:0]
	if n > len(s.few) {
		s.SignedHeaders = make([]string, 0, n)
	}
	before := ""
	for name := range strings.SplitSeq(s.signed, ";") {
		if name <= before || !headerName(name) {
			return ErrSignature
		}
		s.SignedHeaders = append(s.SignedHeaders, name)
		before = name
	}
	return nil
}

// headerName reports whether s can be a header's name in lower case: a token of
// RFC 9110, section 5.6.2, or HTTP/2's name for the host.
func headerName(s string) bool {
	if s == ":authority" {
		return true
	}
	if len(s) > maxHeaderName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.!#$%&'*+^`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// joined is the value of a header as it is signed.
func joined(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return strings.Join(values, ",")
}

// presigned holds the parameters of a presigned query, decoded.
type presigned struct {
	algorithm, credential, date, expires, signedHeaders, signature, token, payload string
	// hasExpires: an empty X-Amz-Expires is a bad one, none is the default.
	hasExpires bool
}

// collect fills p and returns the name of a parameter that stands twice.
func (p *presigned) collect(query []parameter) (repeated string) {
	seen := [...]struct {
		name  string
		field *string
		found bool
	}{
		{name: "X-Amz-Algorithm", field: &p.algorithm},
		{name: "X-Amz-Credential", field: &p.credential},
		{name: "X-Amz-Date", field: &p.date},
		{name: "X-Amz-Expires", field: &p.expires},
		{name: "X-Amz-SignedHeaders", field: &p.signedHeaders},
		{name: "X-Amz-Signature", field: &p.signature},
		{name: "X-Amz-Security-Token", field: &p.token},
		{name: "X-Amz-Content-Sha256", field: &p.payload},
	}
	for _, q := range query {
		for i := range seen {
			if q.name != seen[i].name {
				continue
			}
			if seen[i].found {
				return q.name
			}
			seen[i].found = true
			p.hasExpires = p.hasExpires || q.name == "X-Amz-Expires"
			// parseQuery has decoded the value once already, so this cannot fail.
			*seen[i].field, _ = url.PathUnescape(q.value)
		}
	}
	return ""
}

// hasPresigned tells whether the query claims to carry a signature. Any one of
// the two is a claim, so that half a presigned request is called incomplete
// instead of being read as something else.
func (s *Signature) hasPresigned() bool {
	for _, q := range s.query {
		if q.name == "X-Amz-Algorithm" || q.name == "X-Amz-Signature" {
			return true
		}
	}
	return false
}
