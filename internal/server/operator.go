package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/memory"
	"github.com/strongroom/strongroom/internal/ship"
)

// rootLifetime is how long root credentials live.
const rootLifetime = time.Hour

// ownerOnly lets only the server's own user and root in.
type ownerOnly struct{ net.Listener }

func (l *ownerOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUser(c); err == nil && (uid == 0 || uid == uint32(os.Geteuid())) {
			return c, nil
		}
		c.Close()
	}
}

func peerUser(c net.Conn) (uid uint32, err error) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// Status is what the operator sees of a running server.
type Status struct {
	Account  string   `json:"account"`
	Node     string   `json:"node"`
	Engine   string   `json:"engine"`
	Listen   string   `json:"listen"`
	Regions  []string `json:"regions"`
	Warnings []string `json:"warnings"`
	Audit    struct {
		Durability string `json:"durability"`
		Lost       bool   `json:"lostBehindSignedHead"`
	} `json:"audit"`
	Network NetworkStatus `json:"network"`
	Memory  MemoryStatus  `json:"memory"`
	// Ship is how the copy to a target goes; nil when there is none.
	Ship *ship.Status `json:"ship,omitempty"`
}

// MemoryStatus is what the system has promised about the process's memory.
type MemoryStatus struct {
	memory.State
	// Keys says that the storage keys are not swapped, whatever else is.
	Keys bool `json:"keysLocked"`
}

// String says it in words.
func (m MemoryStatus) String() string {
	dumps := "not dumped"
	if m.Dumps {
		dumps = "may be dumped"
	}
	switch {
	case m.Locked:
		return dumps + ", all of it locked"
	case !m.Swap:
		return dumps + ", no swap space"
	case m.Keys:
		return dumps + ", storage keys locked, the rest may be swapped"
	}
	return dumps + ", may be swapped"
}

// NetworkStatus is the private side of the listeners.
type NetworkStatus struct {
	Public    []string `json:"public"` // none when it is off
	Endpoints int      `json:"endpoints"`
	// Fault says why the configuration as it is now was not taken, and since when;
	// "" when it is in force.
	Fault string    `json:"fault,omitempty"`
	Since time.Time `json:"faultSince,omitzero"`
}

// Status describes the server and warns of what weakens it.
func (s *Server) Status() Status {
	st, _ := readState(s.config.Data) // Open has read it
	out := Status{Account: st.Account, Node: st.Node, Engine: s.db.Engine(), Listen: Endpoint(s.config), Regions: s.config.Regions,
		Warnings: Warnings(s.config.InsecureHTTP)}
	out.Audit.Durability, out.Audit.Lost = s.config.Audit.Durability, s.audit.Recovered().Lost()
	out.Network.Public = s.config.PublicListen()
	out.Network.Endpoints = len(s.endpoints.List())
	out.Memory = MemoryStatus{s.memory, s.keys.Locked()}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		if w := fewFiles(&s.config, files.Cur); w != "" {
			out.Warnings = append(out.Warnings, w)
		}
	}
	if s.memory.Swap && !s.memory.Locked {
		out.Warnings = append(out.Warnings, "the machine has swap space and only the storage keys are locked: values in use may reach a disk (let the process lock all memory, or encrypt the swap space)")
	}
	if f := s.fault.Load(); f != nil {
		out.Network.Fault, out.Network.Since = f.text, f.since
		out.Warnings = append(out.Warnings, "the configuration of the network is not the one in force: "+f.text)
	}
	calls, changes := s.trouble()
	if calls != "" {
		out.Warnings = append(out.Warnings, "calls are refused: "+calls)
	}
	switch d := s.db.Stats(); {
	case changes != "":
		out.Warnings = append(out.Warnings, "changes are refused since "+d.DownSince.UTC().Format(time.RFC3339)+": "+changes)
	case !d.DownSince.IsZero():
		out.Warnings = append(out.Warnings, "the database has not answered since "+d.DownSince.UTC().Format(time.RFC3339)+"; the log says why")
	case d.Damaged+d.DiskErrors > 0 && d.Trouble != "":
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d calls since the start met an error of the database's disk, the last one: %s", d.Damaged+d.DiskErrors, d.Trouble))
	}
	if wait := s.db.Stats().ClockWait; wait > 0 {
		out.Warnings = append(out.Warnings, "the clock was set ahead, or the server off: nothing whose time has come is destroyed before it has run for another "+wait.String())
	}
	if s.ship != nil {
		st := s.ship.Status()
		out.Ship = &st
		out.Warnings = append(out.Warnings, shipWarnings(&st, s.now())...)
	}
	if out.Audit.Lost {
		out.Warnings = append(out.Warnings, "audit records behind a signed head are lost or changed; run \"strongroom audit verify\"")
	}
	return out
}

// Warnings names the weaknesses of a default installation.
func Warnings(insecureHTTP bool) []string {
	w := []string{
		"the root key lies beside the data: whoever copies the directory can read every secret",
		"names, tags, descriptions and policies are stored in the clear",
	}
	if os.Geteuid() == 0 {
		w = append(w, "running as root; use an account of its own (require_unprivileged refuses root)")
	}
	if insecureHTTP {
		w = append(w, "plain HTTP: secrets cross the loopback interface in the clear")
	}
	return w
}

// operatorHandler is the API behind the socket. Whoever may open the socket may
// read the root key as well, so nothing here asks for more.
func (s *Server) operatorHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, http.StatusOK, s.Status()) })
	mux.HandleFunc("GET /v1/accounts", func(w http.ResponseWriter, r *http.Request) {
		accounts, err := s.Accounts(r.Context())
		s.operatorAnswer(w, accounts, err)
	})
	mux.HandleFunc("POST /v1/accounts", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Account string `json:"account"`
			Name    string `json:"name"`
		}
		if !readOperator(w, r, &in) {
			return
		}
		if in.Account == "" {
			in.Account = aws.NewAccountID()
		}
		if !aws.ValidAccountID(in.Account) {
			writeAnswer(w, http.StatusBadRequest, operatorError{"account id must be 12 digits"})
			return
		}
		creds, err := s.CreateAccount(r.Context(), in.Account, in.Name)
		s.operatorAnswer(w, creds, err)
	})
	mux.HandleFunc("POST /v1/root-credentials", s.rootCredentials)
	mux.HandleFunc("GET /v1/denials", func(w http.ResponseWriter, r *http.Request) {
		denials, err := s.denials.Latest(r.Context(), latestDenials)
		s.operatorAnswer(w, denials, err)
	})
	mux.HandleFunc("GET /v1/denials/{request}", func(w http.ResponseWriter, r *http.Request) {
		denials, err := s.Denials(r.Context(), r.PathValue("request"))
		s.operatorAnswer(w, denials, err)
	})
	mux.HandleFunc("POST /v1/sessions/revoke", s.revokeSessions)
	mux.HandleFunc("POST /v1/oidc/keys", s.setProviderKeys)
	s.handleAudit(mux)
	mux.HandleFunc("GET /v1/check", s.checkOperator)
	mux.HandleFunc("POST /v1/backup", s.backupOperator)
	mux.HandleFunc("GET /v1/endpoints", func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, http.StatusOK, s.endpoints.List()) })
	return http.MaxBytesHandler(mux, 64<<10)
}

// latestDenials is how many are listed to somebody who names none.
const latestDenials = 20

// Denials explains what was denied in a request, in any account; none when
// nothing is known of it. The id may be that of a call that a service made within
// the request.
func (s *Server) Denials(ctx context.Context, requestID string) ([]*denial.Denial, error) {
	found, err := s.denials.FindAny(ctx, requestID)
	if found == nil {
		found = []*denial.Denial{}
	}
	return found, err
}

// Accounts lists the accounts of the deployment.
func (s *Server) Accounts(ctx context.Context) ([]iam.Account, error) { return s.iam.ListAccounts(ctx) }

// RootCredentials are a key of an account's root user.
type RootCredentials struct {
	Credentials
	Expires time.Time `json:"expires"`
}

func (s *Server) rootCredentials(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Account string `json:"account"`
	}
	if !readOperator(w, r, &in) {
		return
	}
	accounts, err := s.Accounts(r.Context())
	if err != nil {
		s.operatorAnswer(w, nil, err)
		return
	}
	known := false
	for _, a := range accounts {
		known = known || a.ID == in.Account
	}
	if !known {
		writeAnswer(w, http.StatusNotFound, operatorError{"no such account"})
		return
	}
	out := RootCredentials{Credentials: Credentials{Account: in.Account, User: "root"}}
	err = s.registry.Background(r.Context(), iam.API.Name, "CreateRootCredentials", in.Account, s.config.Region, func(ctx context.Context) error {
		var err error
		out.AccessKeyID, out.SecretAccessKey, out.Expires, err = s.iam.CreateRootCredentials(ctx, in.Account, rootLifetime)
		return err
	})
	s.operatorAnswer(w, out, err)
}

type operatorError struct {
	Error string `json:"error"`
}

func readOperator(w http.ResponseWriter, r *http.Request, in any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		writeAnswer(w, http.StatusBadRequest, operatorError{"request is not understood"})
		return false
	}
	return true
}

func (s *Server) operatorAnswer(w http.ResponseWriter, v any, err error) {
	var e *aws.Error
	switch {
	case errors.As(err, &e) && e.HTTPStatus() < 500:
		writeAnswer(w, e.HTTPStatus(), operatorError{e.Message})
	case err != nil:
		s.log.Error("operator request failed", "error", err)
		writeAnswer(w, http.StatusInternalServerError, operatorError{"the server could not do it; its log says why"})
	default:
		writeAnswer(w, http.StatusOK, v)
	}
}
