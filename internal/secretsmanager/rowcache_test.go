package secretsmanager

import (
	"fmt"
	"testing"
)

func newRowCache() *rowCache {
	return &rowCache{on: true, most: 32 << 20, names: make(map[rowName]*row), uids: make(map[string]rowName)}
}

func TestRowCacheForgets(t *testing.T) {
	c := newRowCache()
	name := rowName{"1", "r", "n"}
	sec, v := &secret{Account: "1", Region: "r", Name: "n", UID: "u"}, &version{ID: "v"}
	_, _, ok, epoch := c.get(name, "")
	if ok {
		t.Fatal("an empty cache knows something")
	}
	c.put(epoch, name, "", sec, v)
	if s, got, ok, _ := c.get(name, ""); !ok || s != sec || got != v {
		t.Fatal("what was put is not there")
	}
	if _, _, ok, _ := c.get(name, "v"); ok {
		t.Error("a version that was never put is there")
	}
	c.forget([]string{uidKey("1", "r", "other")})
	if _, _, ok, _ := c.get(name, ""); !ok {
		t.Error("somebody else's change removed the entry")
	}
	c.forget([]string{uidKey("1", "r", "u")})
	if _, _, ok, _ := c.get(name, ""); ok {
		t.Error("the entry outlived its change")
	}
	if c.bytes != 0 || len(c.uids) != 0 {
		t.Errorf("%d bytes, %d names left behind", c.bytes, len(c.uids))
	}
}

// TestRowCacheOverlap: a read that began before a change does not put back what
// it read before it.
func TestRowCacheOverlap(t *testing.T) {
	c := newRowCache()
	name := rowName{"1", "r", "n"}
	_, _, _, epoch := c.get(name, "")
	c.forget([]string{uidKey("1", "r", "u")})
	c.put(epoch, name, "", &secret{Account: "1", Region: "r", Name: "n", UID: "u"}, nil)
	if _, _, ok, _ := c.get(name, ""); ok {
		t.Error("a stale row was kept")
	}
}

func TestRowCacheIsBounded(t *testing.T) {
	c := newRowCache()
	big := &version{Sealed: make([]byte, 64<<10)}
	for i := range 2000 {
		name := rowName{"1", "r", fmt.Sprint(i)}
		_, _, _, epoch := c.get(name, "")
		c.put(epoch, name, "", &secret{Account: "1", Region: "r", Name: name.name, UID: name.name}, big)
	}
	if c.bytes > c.most || len(c.names) != len(c.uids) || len(c.names) < 400 {
		t.Errorf("%d bytes in %d entries, %d uids", c.bytes, len(c.names), len(c.uids))
	}
}
