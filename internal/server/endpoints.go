package server

import (
	"context"
	"net/netip"
	"reflect"
	"time"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/endpoint"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/panics"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/sts"
)

// EndpointServices are the services that a private endpoint can lead to.
func EndpointServices() []string {
	return []string{secretsmanager.API.Name, kms.API.Name, iam.API.Name, sts.API.Name}
}

// networkPoll is how often the files of the network configuration are looked at.
const networkPoll = time.Second

// networkFault is a configuration of the network that could not be taken.
type networkFault struct {
	text  string
	since time.Time
}

// newEndpoints makes the private listeners' Manager; none listens yet. account is
// the first one.
func (s *Server) newEndpoints(account string) *endpoint.Manager {
	l := s.config.Limits
	return endpoint.New(endpoint.Options{
		Account: account, Services: EndpointServices(), Server: s.apiServer, Limit: s.limitPrivate, Addresses: s.addresses,
		HeaderTime: l.HeaderTime, ShutdownTime: l.ShutdownTime, Log: s.log, Now: s.now,
	})
}

// ownAddresses are those that this process listens on.
func (s *Server) ownAddresses() []netip.AddrPort {
	return append(s.own.all(), s.endpoints.Addresses()...)
}

// ReloadNetwork reads the configuration again and brings its section network into
// force: policies, address ranges, certificates, listeners. What is wrong leaves
// everything as it was, and is shown by Status until it is mended.
func (s *Server) ReloadNetwork() error {
	if s.reload == nil {
		return nil
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	cfg, err := s.reload()
	if err == nil {
		err = s.applyNetwork(&cfg)
	} else {
		s.endpoints.Noted()
	}
	if err != nil {
		s.fault.Store(&networkFault{err.Error(), s.now()})
		s.log.Error("the new configuration of the network is not taken; the old one stays in force", "error", err)
		return err
	}
	s.fault.Store(nil)
	s.log.Info("the configuration of the network was read again", "endpoints", len(cfg.Network.Endpoints))
	if !sameElsewhere(s.config, cfg) {
		s.log.Warn("other settings have changed too; they come into force with the next start")
	}
	return nil
}

// applyNetwork keeps a mistake of ours in reading a configuration from ending the
// process: what is in force stays so.
func (s *Server) applyNetwork(cfg *config.Config) (err error) {
	defer panics.Catch(&err)
	return s.endpoints.Apply(cfg)
}

// sameElsewhere compares what is read at the start only.
func sameElsewhere(a, b config.Config) bool {
	for _, c := range []*config.Config{&a, &b} {
		c.Network.VPCs, c.Network.Endpoints = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// watchNetwork reads the configuration again when one of its files has changed.
func (s *Server) watchNetwork(ctx context.Context) {
	if s.reload == nil {
		return
	}
	tick := time.NewTicker(networkPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.endpoints.Changed() {
				_ = s.ReloadNetwork() // It says itself what is wrong.
			}
		}
	}
}
