package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/panics"
)

// Limits bound what a request may ask of the front door. Zero fields mean the
// defaults. The size of headers is the HTTP server's own setting.
type Limits struct {
	// Body is the size of a request body in bytes; default 1 MiB. The largest
	// secret value, each byte escaped, takes less than half of it.
	Body int64
	// Bodies is how many bytes the bodies of all requests may take together, the
	// first 64 KiB of each not counted: default 256 MiB.
	Bodies int64
	// Nesting is how deep JSON brackets may go; default 64.
	Nesting int
	// Members is how many members all objects of a JSON body may have together;
	// default 10,000.
	Members int
	// Elements is how long a list may be, where the model sets no bound; default
	// 1,000.
	Elements int
	// Parameters is how many parameters a Query request may carry; default 1024.
	Parameters int
	// InFlight is how many requests may be worked on at once; default 1024.
	InFlight int
	// Queue is how long a request may have waited for its turn when more come than
	// can be served; see queue. 0 is no bound.
	Queue time.Duration
	// Admit says whether a caller that is known now asks too often: it returns the
	// reason, and when to come again, or "". nil admits all.
	Admit func(c *Call) (reason string, wait time.Duration)
	// Time is how long an operation may take; default 30 s.
	Time time.Duration
}

const (
	defaultBody       = 1 << 20
	defaultBodies     = 256 << 20
	defaultNesting    = 64
	defaultMembers    = 10_000
	defaultElements   = 1000
	defaultParameters = 1024
	defaultInFlight   = 1024
	defaultTime       = 30 * time.Second

	// maxHeader is where CloudTrail cuts the user agent (spec audit-events.md 1.2
	// bounds records as a whole).
	maxHeader = 1024
	// trustedBody is how much room a Content-Length gets on its word alone.
	trustedBody = 64 << 10
)

func (l Limits) withDefaults() Limits {
	if l.Body <= 0 {
		l.Body = defaultBody
	}
	if l.Bodies <= 0 {
		l.Bodies = defaultBodies
	}
	if l.Nesting <= 0 {
		l.Nesting = defaultNesting
	}
	if l.Members <= 0 {
		l.Members = defaultMembers
	}
	if l.Elements <= 0 {
		l.Elements = defaultElements
	}
	if l.Parameters <= 0 {
		l.Parameters = defaultParameters
	}
	if l.InFlight <= 0 {
		l.InFlight = defaultInFlight
	}
	if l.Time <= 0 {
		l.Time = defaultTime
	}
	return l
}

const (
	jsonType = "application/x-amz-json-1.1"
	formType = "application/x-www-form-urlencoded"
	xmlType  = "text/xml"

	// requestIDHeader is x-amzn-RequestId in the spelling of net/http.
	requestIDHeader = "X-Amzn-Requestid"
)

// Header values that are the same for all answers. They are shared, not changed.
var (
	jsonTypeHeader = []string{jsonType}
	xmlTypeHeader  = []string{xmlType}
	// A GET of a Query service could be kept by a proxy, secrets and all.
	noStoreHeader = []string{"no-store"}
)

// Handler returns the HTTP face of the registry.
func (g *Registry) Handler(a Authenticator, l Limits) http.Handler {
	return newHandler(g, a, l)
}

func newHandler(g *Registry, a Authenticator, l Limits) *handler {
	l = l.withDefaults()
	return &handler{Registry: g, auth: a, limits: l, flying: make(chan struct{}, l.InFlight), queue: queue{most: l.Queue}}
}

type handler struct {
	*Registry
	auth   Authenticator
	limits Limits
	// flying holds one for each request that is worked on.
	flying chan struct{}
	queue  queue
	date   dateHeader
	// bodies is how many bytes of bodies are held, beyond the first of each.
	bodies atomic.Int64
}

// exchange is one request on its way through the handler.
type exchange struct {
	call  *Call
	bound *bound
	// query says that the request speaks, and so the answer must be, awsQuery.
	query bool
	// shut says why the connection's listener would not let it in any more.
	shut string
	form form
	// held is what the body takes of Limits.Bodies.
	held int64
	// wait is when a client that asked too often may come again; 0 for others.
	wait time.Duration
	body *bytes.Buffer
	out  *bytes.Buffer
	// reader is what the body is read through.
	reader accounted
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{call: h.newCall(r), body: getBuffer(), out: getBuffer()}
	defer putBuffer(x.body)
	defer putBuffer(x.out)
	ctx := within(r.Context(), time.Now(), h.limits.Time)
	defer ctx.end()
	x.enter(r)

	err := protect(ctx, func(ctx context.Context) error { return h.serve(ctx, &x, r) })
	h.bodies.Add(-x.held)
	if _, panicked := errors.AsType[*panics.Error](err); panicked && x.call.Err == nil {
		// Before the call began, so it has no record of its own: it counts as one
		// whose caller could not be told.
		x.call.Principal = nil
		h.recorder.Unverified(x.call, err)
	}
	h.answer(ctx, w, &x, err)
}

func (h *handler) newCall(r *http.Request) *Call {
	c := &Call{Start: h.now(), EventType: EventAPICall, UserAgent: header(r.UserAgent()), Referer: header(r.Referer())}
	c.RequestID, c.EventID = newIDs()
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Source = p.Addr().Unmap()
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		p := a.AddrPort()
		c.Listener = netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	if r.TLS != nil {
		c.TLS = TLS{tlsVersion(r.TLS.Version), cipherName(r.TLS.CipherSuite), r.Host}
	}
	return c
}

// serve takes a request from recognition to the encoded answer in x.out.
func (h *handler) serve(ctx context.Context, x *exchange, r *http.Request) error {
	err := h.recognise(x, r)
	if refused := x.passed(); refused != nil {
		err = refused
	}
	if err != nil {
		h.recorder.Unverified(x.call, err)
		return err
	}
	c := x.call
	// Between the body and the first costly step. A client that sends or takes its
	// bytes slowly has no slot, so it cannot keep the others out; memory is bounded
	// by connections and Limits.Bodies.
	select {
	case h.flying <- struct{}{}:
		defer func() { <-h.flying }()
	default:
		return h.throttle(x, ThrottledInFlight, time.Second)
	}
	if h.queue.refuses(len(h.flying), time.Now(), waitOf(r)) {
		return h.throttle(x, ThrottledQueue, time.Second)
	}
	decode := func(in Validator) *aws.Error {
		if x.query {
			return decodeQuery(x.form, in, h.limits.Elements)
		}
		return decodeJSON(x.body.Bytes(), in, h.limits.bounds())
	}
	if err := h.identify(ctx, x, r, decode); err != nil {
		who := c.Principal
		c.Principal = nil // Half an authentication is none.
		h.recorder.Unverified(c, err)
		if x.bound.op.identify != nil && len(c.Decisions) > 0 {
			// Who it was is proved, or nothing would have been decided. The observer
			// is told, so that the denial can be explained.
			c.Principal, c.Uninvited = who, true
		}
		return err
	}
	if c.Principal == nil {
		return errors.New("authenticator named no principal")
	}
	if h.limits.Admit != nil {
		if reason, wait := h.limits.Admit(c); reason != "" {
			return h.throttle(x, reason, wait)
		}
	}
	return h.perform(ctx, c, func(ctx context.Context) error {
		out, err := h.operate(ctx, c, x.bound, decode)
		if err != nil {
			return err
		}
		// Encoded before the call is recorded: what cannot be answered must not
		// be on record as answered.
		if x.query {
			encodeXML(x.out, c, out)
			return nil
		}
		if out == nil {
			return nil
		}
		if err := encodeJSON(x.out, out); err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		return nil
	})
}

// identify finds out who calls: by the signature, or, for operations that have
// none, by their input. A signature sent with one of those is not looked at, as at
// AWS (spec iam-sts.md 4.2).
func (h *handler) identify(ctx context.Context, x *exchange, r *http.Request, decode func(Validator) *aws.Error) error {
	c, o := x.call, x.bound
	if o.op.identify == nil {
		return h.auth.Authenticate(ctx, c, r, x.body.Bytes())
	}
	if err := readInput(c, o, decode); err != nil {
		return err
	}
	return o.op.identify(NewContext(ctx, c), c.Input)
}

// recognise finds protocol and operation from the request alone, never from the
// host name, which behind a proxy is anything. It reads the body on the way, since
// a Query request names its operation there. Its errors are answered to anybody,
// so they depend on nothing but the request.
func (h *handler) recognise(x *exchange, r *http.Request) error {
	media := mediaType(r)
	targets := r.Header["X-Amz-Target"]
	if len(targets) == 0 && (media == formType || r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "Action=")) {
		x.query = true
	}
	switch {
	case r.URL.Path != "/":
		return unknownOperation(http.StatusNotFound)
	case r.Method != http.MethodPost && !(r.Method == http.MethodGet && x.query):
		return unknownOperation(http.StatusNotFound)
	}
	if err := h.read(x, r); err != nil {
		return err
	}
	if x.query {
		return h.recogniseQuery(x, r)
	}
	// The media type is part of the protocol; that a web page cannot send it
	// without asking first is a welcome extra.
	if media != jsonType || len(targets) != 1 {
		return unknownOperation(http.StatusBadRequest)
	}
	b := h.targets[targets[0]]
	if b == nil {
		return unknownOperation(http.StatusBadRequest)
	}
	x.bind(b)
	return nil
}

func (h *handler) recogniseQuery(x *exchange, r *http.Request) error {
	x.form = make(form)
	if err := x.form.add(r.URL.RawQuery, h.limits.Parameters); err != nil {
		return malformedQuery(err)
	}
	if mediaType(r) == formType {
		if err := x.form.add(x.body.String(), h.limits.Parameters); err != nil {
			return malformedQuery(err)
		}
	}
	action, version := x.form["Action"], x.form["Version"]
	x.call.Service = h.versions[version]
	if action == "" {
		return &aws.Error{Code: "MissingAction", Status: http.StatusBadRequest, Framework: true,
			Message: "The request is missing an action or a required parameter."} // AWS common errors; unconfirmed.
	}
	if b := h.actions[version+"/"+action]; b != nil {
		x.bind(b)
		return nil
	}
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	return &aws.Error{Code: "InvalidAction", Status: http.StatusBadRequest, Framework: true,
		Message: "Could not find operation " + clip(action) + " for version " + clip(version)}
}

func (x *exchange) bind(b *bound) {
	x.bound = b
	x.call.Service = b.service
	x.call.Operation = b.info.Name
	x.call.ReadOnly = b.info.ReadOnly
	x.call.info = b.info
}

// read takes the whole body into x.body, or refuses it.
func (h *handler) read(x *exchange, r *http.Request) error {
	switch e := r.Header.Get("Content-Encoding"); e {
	case "", "identity", "amz-1.0": // Older SDKs send the last; it means nothing.
	default:
		// A compressed body could be a bomb, and no SDK sends one here.
		return x.front("UnsupportedMediaTypeException", "UnsupportedMediaType", http.StatusUnsupportedMediaType)
	}
	if r.ContentLength > h.limits.Body {
		return x.tooLarge()
	}
	x.body.Grow(int(min(max(r.ContentLength, 0), trustedBody)) + bytes.MinRead)
	x.reader = accounted{io.LimitedReader{R: r.Body, N: h.limits.Body + 1}, h, x, trustedBody}
	n, err := x.body.ReadFrom(&x.reader)
	if n > h.limits.Body {
		return x.tooLarge()
	}
	if errors.Is(err, errBodies) {
		return x.throttled(ThrottledBodies, time.Second)
	}
	if err != nil {
		return x.front("RequestTimeoutException", "RequestTimeout", http.StatusRequestTimeout)
	}
	return nil
}

func (x *exchange) tooLarge() error {
	return x.front("RequestEntityTooLargeException", "RequestEntityTooLarge", http.StatusRequestEntityTooLarge)
}

// front makes an error for a request whose service is not known yet.
func (x *exchange) front(jsonCode, queryCode string, status int) *aws.Error {
	s := &Service{Protocol: JSON11}
	if x.query {
		s.Protocol = Query
	}
	return s.frame(jsonCode, queryCode, status, "")
}

// unknownOperation answers what names no operation of ours (spec
// secretsmanager.md 1.5: no message).
func unknownOperation(status int) *aws.Error {
	return &aws.Error{Code: "UnknownOperationException", Status: status, Framework: true}
}

// answer writes the outcome and the request's one log line.
func (h *handler) answer(ctx context.Context, w http.ResponseWriter, x *exchange, err error) {
	c, status := x.call, http.StatusOK
	var shown *aws.Error
	if err != nil {
		shown = h.refuse(ctx, x, err)
		status = shown.HTTPStatus()
	}
	header := w.Header()
	own := &[2]string{c.RequestID, strconv.Itoa(x.out.Len())} // one allocation for both
	header[requestIDHeader] = own[:1:1]
	header["Date"] = h.date.at(h.now())
	header["Cache-Control"] = noStoreHeader
	header["Content-Type"] = jsonTypeHeader
	if x.query {
		header["Content-Type"] = xmlTypeHeader
	}
	header["Content-Length"] = own[1:]
	if x.wait > 0 {
		// In whole seconds, rounded up: earlier it would be in vain again.
		header["Retry-After"] = []string{strconv.Itoa(int((x.wait + time.Second - 1) / time.Second))}
	}
	if x.shut != "" || c.Throttled == ThrottledBodies || status == http.StatusRequestEntityTooLarge || status == http.StatusRequestTimeout {
		header.Set("Connection", "close") // The rest of the body is still on the line.
	}
	w.WriteHeader(status)
	_, werr := w.Write(x.out.Bytes())
	h.logLine(ctx, c, status, shown, werr)
}

// refuse turns err into the error to answer with and puts its body into x.out.
func (h *handler) refuse(ctx context.Context, x *exchange, err error) *aws.Error {
	c := x.call
	s := c.Service
	if s == nil {
		s = &Service{InternalCode: "InternalFailure"}
	}
	e := h.shown(s, err)
	if c.Err == nil {
		// Refused before perform, or by a panic around it.
		c.Err = e
		h.observe(c, e.HTTPStatus(), h.now().Sub(c.Start))
		if p, ok := errors.AsType[*panics.Error](err); ok {
			h.log.LogAttrs(ctx, slog.LevelError, "request handling panicked",
				slog.String("request_id", c.RequestID), slog.String("error", p.What), slog.String("stack", string(p.Stack)))
		}
	}
	// Whatever a broken call had encoded is secret until decided and recorded.
	clear(x.out.Bytes())
	x.out.Reset()
	if x.query {
		x.out.Write(appendErrorXML(x.out.AvailableBuffer(), c, e))
	} else {
		x.out.Write(appendErrorJSON(x.out.AvailableBuffer(), c.Service, e))
	}
	return e
}

// logLine writes one line for each request: never its parameters, and of errors
// the inner cause only for those who read the log.
func (h *handler) logLine(ctx context.Context, c *Call, status int, e *aws.Error, werr error) {
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError && !interrupted(c.Err) && h.trouble(c.Err) != Unavailable:
		// Of trouble below the log speaks once, where it begins.
		level = slog.LevelError
	case c.Principal == nil || c.Throttled != "" || c.Uninvited:
		// Anybody can send these, and a flood of them must not fill the disk. The
		// Recorder counts and samples them.
		level = slog.LevelDebug
	}
	if !h.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 13)
	attrs = append(attrs, slog.String("request_id", c.RequestID), slog.Int("status", status),
		slog.Duration("took", h.now().Sub(c.Start)), slog.String("source", c.source()))
	if c.Endpoint != nil {
		attrs = append(attrs, slog.String("endpoint", c.Endpoint.ID))
	}
	if c.Service != nil {
		attrs = append(attrs, slog.String("service", c.Service.Name))
	}
	if c.Operation != "" {
		attrs = append(attrs, slog.String("operation", c.Operation))
	}
	if c.Principal != nil {
		attrs = append(attrs, slog.String("principal", c.Principal.ARN))
	}
	if len(c.Resources) > 0 {
		attrs = append(attrs, slog.String("resource", c.Resources[0].ARN))
	}
	if e != nil {
		attrs = append(attrs, slog.String("code", e.Code))
		if e.Cause != nil {
			attrs = append(attrs, slog.String("cause", e.Cause.Error()))
		}
	}
	if werr != nil {
		attrs = append(attrs, slog.String("write_error", werr.Error()))
	}
	h.log.LogAttrs(ctx, level, "request", attrs...)
}

// mediaType returns the Content-Type in lower case without its parameters.
func mediaType(r *http.Request) string {
	t := r.Header.Get("Content-Type")
	if t == jsonType {
		return t
	}
	t, _, _ = strings.Cut(t, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// header returns a header's value as text that every store and format can hold.
func header(v string) string {
	if len(v) > maxHeader {
		v = v[:maxHeader]
	}
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\uFFFD")
	}
	return v
}

// clip bounds a caller's text in an error message.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// cipherName names a suite. The standard library makes the list of all suites for
// each answer.
func cipherName(id uint16) string {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256"
	case tls.TLS_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384"
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256"
	}
	return tls.CipherSuiteName(id)
}

// tlsVersion names a version as CloudTrail does.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return tls.VersionName(v)
}
