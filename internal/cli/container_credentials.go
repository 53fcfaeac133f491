package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func newContainerCredentials(env *Env) *cobra.Command {
	var listen, tokenFile string
	c := &cobra.Command{
		Use:   "container-credentials",
		Short: "Serve a role's credentials to the AWS SDKs of this machine",
		Long: `Take a role and serve its credentials where every AWS SDK can be told to look:

  AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:4768/
  AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/app/token

Whoever sends the text of the token file gets the credentials; it is read for each
request, so it can be replaced at any time. If there is no such file, one with a
random token is made. The SDKs ask loopback and the three link-local addresses of
container agents only, so nothing else is listened on. A request that came through
a proxy is refused.

The role is taken as by "strongroom credential-process".`,
		Args: arguments(),
	}
	w := workloadFlags(c, env)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:4768", "`ADDRESS:PORT` to serve on; port 0 picks one")
	c.Flags().StringVar(&tokenFile, "token-file", "", "`FILE` with the token that requests must bring (needed)")
	_ = c.MarkFlagFilename("token-file") // fails only for a flag that does not exist
	c.RunE = func(c *cobra.Command, _ []string) error {
		if tokenFile == "" {
			return usageError{withHint(errors.New("no token file is named"), "name one with --token-file; it is made if it is not there")}
		}
		addr, err := netip.ParseAddrPort(listen)
		if err != nil || !servable(addr.Addr()) {
			return usageError{fmt.Errorf("--listen %s is not a loopback address, 169.254.170.2, 169.254.170.23 or fd00:ec2::23, with a port", plain(listen))}
		}
		if err := makeTokenFile(tokenFile); err != nil {
			return fmt.Errorf("cannot make the token file: %w", err)
		}
		if _, err := guardToken(tokenFile); err != nil {
			return fmt.Errorf("cannot use the token file: %w", err)
		}
		// The first credentials are made before anybody is told that there are some.
		h := &containerHandler{w: w, tokenFile: tokenFile}
		if _, err := h.current(c.Context()); err != nil {
			return err
		}
		return serveContainer(c.Context(), env, addr, tokenFile, h)
	}
	return c
}

// servable says whether SDKs ask an address without TLS.
func servable(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, known := range []string{"169.254.170.2", "169.254.170.23", "fd00:ec2::23"} {
		if a == netip.MustParseAddr(known) {
			return true
		}
	}
	return false
}

// makeTokenFile makes a file with a new token, unless there is one.
func makeTokenFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process instead
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(b[:]))
	return errors.Join(err, f.Close())
}

const (
	// A token shorter than this could be guessed, one longer is no header.
	minGuard, maxGuard = 16, 4096
)

// guardToken reads the token that requests must bring. Others may be let in by
// giving them the file, with a group of their own for instance, but not everybody.
func guardToken(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to every user; chmod 0600 it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxGuard+1))
	b = bytes.TrimSpace(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) < minGuard || len(b) > maxGuard:
		return nil, fmt.Errorf("%s must hold %d to %d characters", path, minGuard, maxGuard)
	}
	return b, nil
}

func serveContainer(ctx context.Context, env *Env, addr netip.AddrPort, tokenFile string, h *containerHandler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr.String())
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	h.host = l.Addr().String()
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	fmt.Fprintf(env.Stdout, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://%s/\nAWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=%s\n", h.host, tokenFile)
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return s.Shutdown(stop)
	}
}

// containerHandler answers SDKs. Its answers follow the contract of container
// agents; SDKs show code and message of an error.
type containerHandler struct {
	w         *workload
	tokenFile string
	host      string // what Host must name

	mu    sync.Mutex // one call at a time takes the role
	held  temporary
	tried time.Time // when it was last tried to replace held
}

// retryAfter is how long a failure is left alone while there are credentials.
const retryAfter = 10 * time.Second

// forwarded are headers by which proxies tell whom they ask for. Somebody behind a
// proxy is not on this machine.
var forwarded = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}

func (h *containerHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		containerAnswer(w, status, map[string]string{"code": code, "message": message})
	}
	for _, name := range forwarded {
		if _, ok := r.Header[name]; ok {
			refuse(http.StatusForbidden, "Forwarded", "requests through a proxy are refused")
			return
		}
	}
	// A web page could have a name of its own resolve to this address.
	if r.Host != h.host && r.Host != strings.Replace(h.host, "127.0.0.1", "localhost", 1) {
		refuse(http.StatusForbidden, "WrongHost", "the request names another host")
		return
	}
	if r.Method != http.MethodGet || r.URL.Path != "/" {
		refuse(http.StatusNotFound, "NotFound", "GET / is all there is")
		return
	}
	want, err := guardToken(h.tokenFile)
	if err != nil {
		fmt.Fprintf(h.w.env.Stderr, "strongroom: %v\n", err)
		refuse(http.StatusInternalServerError, "TokenFile", "the token file cannot be used")
		return
	}
	// Hashes, so that not even the length takes part in the time.
	got, wanted := sha256.Sum256([]byte(r.Header.Get("Authorization"))), sha256.Sum256(want)
	if subtle.ConstantTimeCompare(got[:], wanted[:]) != 1 {
		refuse(http.StatusUnauthorized, "Unauthorized", "the Authorization header does not hold the token")
		return
	}
	c, err := h.current(r.Context())
	if err != nil {
		fmt.Fprintf(h.w.env.Stderr, "strongroom: %v\n", err)
		refuse(http.StatusBadGateway, "RoleNotTaken", "the role could not be taken; the log of this command says why")
		return
	}
	containerAnswer(w, http.StatusOK, map[string]string{
		"AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.SessionToken,
		"Expiration": c.Expires.UTC().Format(time.RFC3339), "AccountId": c.AccountID,
	})
}

func containerAnswer(w http.ResponseWriter, status int, body map[string]string) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte("{}") // not reached: texts only
	}
	defer clear(b)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b) // whoever asked may have left
}

// current returns credentials that last a while. When new ones cannot be had, those
// at hand serve until they end.
func (h *containerHandler) current(ctx context.Context) (temporary, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.w.now()
	if h.held.fresh(now) || now.Before(h.held.Expires) && now.Sub(h.tried) < retryAfter {
		return h.held, nil
	}
	h.tried = now
	// Whoever asked may leave; the next one is glad of the credentials.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var got temporary
	t, err := h.w.prepare(ctx)
	if err == nil {
		got, err = t.take(ctx)
	}
	switch {
	case err == nil:
		h.held = got
	case now.Before(h.held.Expires):
		fmt.Fprintf(h.w.env.Stderr, "strongroom: %v; the credentials at hand are served until they end\n", err)
	default:
		return got, err
	}
	return h.held, nil
}
