package hostile

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
)

// TestUnsignedFlood sends unsigned and wrongly signed requests as fast as they are
// answered. Signed calls are served meanwhile, and the disk does not fill: requests
// whose sender is not known are counted and sampled, not recorded one by one.
func TestUnsignedFlood(t *testing.T) {
	length := time.Duration(number(t, "FLOOD_SECONDS", 10)) * time.Second
	g := start(t)
	weapons := g.arsenal(t)
	before, disk := g.look(true), g.disk()
	h := g.healthy()
	gun := newGunner(weapons.host)
	var sent, shut, refused atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(length)
	var peak atomic.Uint64
	for worker := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(weapons.seed, uint64(worker)))
			for n := 0; time.Now().Before(end); n++ {
				a := weapons.forged(r)
				if n%2 == 0 {
					a.request.Header.Del("Authorization")
				}
				sent.Add(1)
				o := gun.send(a)
				if o.err != nil {
					shut.Add(1) // It took its time, on a busy machine, and was shown out.
					continue
				}
				switch s := o.statuses[0]; {
				case s >= http.StatusInternalServerError:
					t.Errorf("flood: status %d %.300s", s, o.body)
				case s != http.StatusOK:
					refused.Add(1)
				}
				if n%512 == 0 {
					peak.Store(max(peak.Load(), g.look(false).RSS))
				}
			}
		})
	}
	wg.Wait()
	fared := h.end()
	healthyCalls := h.calls.Load()
	gun.client.CloseIdleConnections()
	g.HTTP.CloseIdleConnections()
	g.calm(before)
	g.spotless()
	if shut.Load() > sent.Load()/100 {
		t.Errorf("%d of %d requests had no answer", shut.Load(), sent.Load())
	}
	if sent.Load() < int64(length/time.Second)*20 || refused.Load() < sent.Load()*8/10 {
		t.Errorf("%d requests sent, %d refused: that is no flood", sent.Load(), refused.Load())
	}
	known, unknown := g.recorded()
	// One record a minute that counts, and a few samples with it.
	if most := 50 + 20*int(length/time.Minute); unknown > most {
		t.Errorf("%d records of requests whose sender is not known, want at most %d", unknown, most)
	}
	// Healthy calls have their records, and the database its log; segments of the audit
	// record are taken ahead.
	grown := g.disk() - disk
	if most := 256<<20 + 8<<10*healthyCalls; grown > most {
		t.Errorf("the disk has %s more of it, want at most %s", mb(uint64(grown)), mb(uint64(most)))
	}
	if n := len(g.Log.String()); n > 64<<10 {
		t.Errorf("the log has %d bytes", n)
	}
	if peak.Load() > roomFor {
		t.Errorf("the server took %s of memory", mb(peak.Load()))
	}
	t.Logf("%d requests in %v (%d a second), %d refused; %s; %d audit records of known callers, %d of the flood; disk %s more; memory at most %s; log %d bytes",
		sent.Load(), length, sent.Load()*int64(time.Second)/int64(length), refused.Load(), fared, known, unknown, mb(uint64(max(0, grown))), mb(peak.Load()), len(g.Log.String()))
}

// disk is what the data directory takes of it.
func (g *target) disk() (n int64) {
	g.t.Helper()
	filepath.WalkDir(g.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // It went while we looked.
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				n += s.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// recorded counts the audit records of callers that were known, and all others.
func (g *target) recorded() (known, unknown int) {
	g.t.Helper()
	node, err := server.Node(g.Dir)
	check(g.t, err)
	check(g.t, audit.Scan(g.t.Context(), filepath.Join(g.Dir, server.AuditDir), node, 1, func(e audit.Entry) error {
		var r struct {
			UserIdentity struct {
				Type string `json:"type"`
			} `json:"userIdentity"`
			EventType string `json:"eventType"`
		}
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return fmt.Errorf("%w: %s", err, e.Body)
		}
		if r.EventType == "AwsApiCall" && r.UserIdentity.Type != "" && !strings.EqualFold(r.UserIdentity.Type, "unknown") {
			known++
		} else {
			unknown++
		}
		return nil
	}))
	return known, unknown
}
