package limit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestRates: a second's worth at once, then one for each that its time has
// brought; by operation, principal and account; apart in each region and account.
func TestRates(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := NewLimiter(Rates{Account: 10, Principal: 6, Groups: []Group{
		{[]string{"s:Read", "s:List"}, 4}, {[]string{"s:Free", "s:List"}, 2},
	}}, func() time.Time { return now })
	take := func(account, region, principal, operation string) string {
		reason, wait := l.Take(Caller{account, region, principal, operation})
		if (reason == "") != (wait == 0) || wait > time.Second {
			t.Errorf("%s after %v", reason, wait)
		}
		return reason
	}
	until := func(n int, want, account, region, principal, operation string) {
		t.Helper()
		for i := range n {
			if got := take(account, region, principal, operation); got != "" {
				t.Fatalf("%s %s: request %d is refused by %s", principal, operation, i+1, got)
			}
		}
		if got := take(account, region, principal, operation); got != want {
			t.Fatalf("%s %s: request %d is refused by %q, want %q", principal, operation, n+1, got, want)
		}
	}
	until(4, ByOperation, "a", "r", "ann", "s:Read")
	until(2, ByOperation, "a", "r", "ann", "s:List") // The later group.
	until(0, ByPrincipal, "a", "r", "ann", "s:Other")
	until(4, ByAccount, "a", "r", "bob", "s:Other")
	until(0, ByOperation, "a", "r", "cid", "s:Read")
	until(4, ByOperation, "a", "other", "ann", "s:Read")
	until(4, ByOperation, "b", "r", "ann", "s:Read")
	now = now.Add(250 * time.Millisecond) // Refused ones have not been counted.
	until(1, ByOperation, "a", "r", "ann", "s:Read")
	now = now.Add(time.Hour)
	until(4, ByOperation, "a", "r", "ann", "s:Read")
	now = now.Add(-24 * time.Hour) // Nobody waits for a clock to come back.
	until(4, ByOperation, "a", "r", "ann", "s:Read")
}

// TestSlowRates: a bound below one a second lets one through at once.
func TestSlowRates(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := NewLimiter(Rates{Account: 0.1}, func() time.Time { return now })
	for range 3 {
		if reason, _ := l.Take(Caller{Account: "a"}); reason != "" {
			t.Fatal(reason)
		}
		if reason, wait := l.Take(Caller{Account: "a"}); reason != ByAccount || wait != 10*time.Second {
			t.Fatal(reason, wait)
		}
		now = now.Add(10 * time.Second)
	}
	if NewLimiter(Rates{}, time.Now) != nil {
		t.Error("a limiter without bounds")
	}
	if reason, _ := (*Limiter)(nil).Take(Caller{}); reason != "" {
		t.Error(reason)
	}
}

// TestBucketsAreBounded: callers without end share one bucket once there is no
// room, and what is full again makes room.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := NewLimiter(Rates{Principal: 2}, func() time.Time { return now })
	l.most = 100
	served := 0
	for i := range 10_000 {
		if reason, _ := l.Take(Caller{Principal: fmt.Sprint(i)}); reason == "" {
			served++
		}
	}
	if served != 102 || len(l.full) != 101 {
		t.Errorf("%d served, %d buckets", served, len(l.full))
	}
	now = now.Add(time.Second)
	if reason, _ := l.Take(Caller{Principal: "new"}); reason != "" || len(l.full) > 2 {
		t.Errorf("%s, %d buckets", reason, len(l.full))
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	a := NewAddresses(2)
	enter := func(door, from string, want bool) func() {
		t.Helper()
		leave, ok := a.Enter(door, netip.MustParseAddr(from))
		if ok != want {
			t.Fatalf("%s at %q: %v", from, door, ok)
		}
		return leave
	}
	enter("", "192.0.2.1", true)
	leave := enter("", "::ffff:192.0.2.1", true)
	enter("", "192.0.2.1", false)
	enter("", "192.0.2.2", true)
	enter("vpce-1", "192.0.2.1", true)
	leave()
	enter("", "192.0.2.1", true)
	enter("", "192.0.2.1", false)
	// A host can choose among the addresses of its /64.
	enter("", "2001:db8::1", true)
	enter("", "2001:db8::2", true)
	enter("", "2001:db8::3", false)
	enter("", "2001:db8:0:1::3", true)
	if a.Refused() != 3 {
		t.Errorf("%d refused", a.Refused())
	}
	if _, ok := a.Enter("", netip.Addr{}); !ok {
		t.Error("no address")
	}
	if _, ok := NewAddresses(0).Enter("", netip.MustParseAddr("192.0.2.1")); !ok {
		t.Error("without a bound")
	}
}

// TestListener: one too many in all waits for its turn and is served then; one too
// many from an address is closed; a listener that waits can be closed.
func TestListener(t *testing.T) {
	t.Parallel()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(raw, NewSlots(1), NewAddresses(2))
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("a second connection beside the one that may be")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close() // Twice frees one slot.
	second := <-accepted
	third := dial()
	// Accept holds the third, so that nobody looks at the fourth: two of the address
	// are open, and the slot decides first who is next.
	second.Close()
	held := <-accepted
	if l.Slots.Open() != 1 {
		t.Errorf("%d open", l.Slots.Open())
	}
	_ = third
	dial()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	held.Close()

	// Of one address no more than it may have, at once.
	raw, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = Listen(raw, NewSlots(10), NewAddresses(1))
	defer l.Close()
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	dial()
	over := dial()
	_ = over.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := over.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the second connection of the address is open")
	}
	if l.Addresses.Refused() != 1 {
		t.Errorf("%d refused", l.Addresses.Refused())
	}
}
