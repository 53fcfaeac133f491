package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/wire"
)

// Clients says which certificates of clients are good on the public listeners. The
// file of their authorities is read again when it changes; if it cannot be, the
// last good one stays in force.
type Clients struct {
	path     string
	required bool
	base     *tls.Config
	now      func() time.Time

	mu      sync.Mutex
	trust   *trust
	tls     *tls.Config // base with trust
	stamp   time.Time
	checked time.Time
}

// recheck is how often the file's date is looked at, as ca.Source does.
const recheck = time.Second

// NewClients reads the authorities that the section tls of a configuration names;
// nil when it asks for no certificates. base is the listener's TLS.
func NewClients(cfg *config.Config, base *tls.Config, now func() time.Time) (*Clients, error) {
	mode := cfg.TLS.ClientAuthMode()
	if mode == config.ClientAuthOff {
		return nil, nil
	}
	k := &Clients{path: cfg.Path(cfg.TLS.ClientCA), required: mode == config.ClientAuthRequire, base: base, now: now}
	if err := k.read(); err != nil {
		return nil, fmt.Errorf("tls.client_ca: %w", err)
	}
	return k, nil
}

// read reads the file if it has changed. It expects the mutex, except in New.
func (k *Clients) read() error {
	info, err := os.Stat(k.path)
	if err != nil {
		return err
	}
	if k.trust != nil && info.ModTime().Equal(k.stamp) {
		return nil
	}
	pem, err := readFile(k.path)
	if err != nil {
		return err
	}
	t := &trust{pool: x509.NewCertPool(), required: k.required}
	if !t.pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: there is no certificate in it", k.path)
	}
	k.trust, k.stamp, k.tls = t, info.ModTime(), k.base.Clone()
	t.ask(k.tls)
	return nil
}

// current is what is in force now.
func (k *Clients) current() (*trust, *tls.Config) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.checked) >= recheck {
		k.checked = time.Now()
		_ = k.read() // The last good one stays.
	}
	return k.trust, k.tls
}

// Config is the TLS of the listeners.
func (k *Clients) Config() *tls.Config {
	c := k.base.Clone()
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		_, now := k.current()
		return now, nil
	}
	return c
}

// Door is that of one connection.
func (k *Clients) Door() wire.Door { return &publicDoor{clients: k, proof: proof{now: k.now}} }

type publicDoor struct {
	clients *Clients
	proof
}

// Enter implements wire.Door.
func (d *publicDoor) Enter(call *wire.Call, state *tls.ConnectionState) (refusal string) {
	t, _ := d.clients.current()
	if !d.proves(t, state) {
		return "The certificate of this connection's client is not good any more."
	}
	call.ClientCert = d.cert
	return ""
}

// ask makes a TLS configuration ask clients for certificates.
func (t *trust) ask(c *tls.Config) {
	// A certificate that is given must be good, also where none is needed. No
	// session tickets: a resumed session would carry what another listener, or an
	// earlier configuration, took for a good certificate.
	c.ClientCAs, c.ClientAuth, c.SessionTicketsDisabled = t.pool, tls.VerifyClientCertIfGiven, true
	if t.required {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
}
