package sigv4_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/strongroom/strongroom/internal/sigv4"
)

func scope(key string) *sigv4.Signature {
	return &sigv4.Signature{AccessKeyID: key, Date: "20260219", Region: "eu-west-1", Service: "kms"}
}

func TestKeyCache(t *testing.T) {
	c := sigv4.NewKeyCache(8)
	k := sigv4.Key{1, 2, 3}
	c.Put(scope("A"), 1, k)
	if got, ok := c.Get(scope("A"), 1); !ok || got != k {
		t.Error("lost what was put")
	}
	for title, s := range map[string]*sigv4.Signature{
		"other key":     scope("B"),
		"other date":    {AccessKeyID: "A", Date: "20260220", Region: "eu-west-1", Service: "kms"},
		"other region":  {AccessKeyID: "A", Date: "20260219", Region: "eu-west-2", Service: "kms"},
		"other service": {AccessKeyID: "A", Date: "20260219", Region: "eu-west-1", Service: "sts"},
	} {
		if _, ok := c.Get(s, 1); ok {
			t.Errorf("%s: found", title)
		}
	}
	if _, ok := c.Get(scope("A"), 2); ok {
		t.Error("found under another generation")
	}
	c.Put(scope("B"), 1, k)
	c.Drop("A")
	if _, ok := c.Get(scope("A"), 1); ok {
		t.Error("found after Drop")
	}
	if _, ok := c.Get(scope("B"), 1); !ok {
		t.Error("Drop took another key along")
	}
	c.Clear()
	if c.Len() != 0 {
		t.Error("not empty after Clear")
	}
}

func TestKeyCacheIsBoundedAndKeepsTheHot(t *testing.T) {
	c := sigv4.NewKeyCache(8)
	hot := sigv4.Key{42}
	c.Put(scope("hot"), 1, hot)
	for i := range 1000 {
		c.Put(scope(fmt.Sprint(i)), 1, sigv4.Key{byte(i)})
		if c.Len() > 8 {
			t.Fatalf("%d keys", c.Len())
		}
		if got, ok := c.Get(scope("hot"), 1); !ok || got != hot {
			t.Fatalf("the hot key left after %d others", i)
		}
	}
	if _, ok := c.Get(scope("1"), 1); ok {
		t.Error("an old key stayed")
	}
}

// A key that is read while another goroutine drops it must be whole or absent.
func TestKeyCacheConcurrently(t *testing.T) {
	c := sigv4.NewKeyCache(4)
	want := sigv4.Key{}
	for i := range want {
		want[i] = 0xaa
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				s := scope(fmt.Sprint((i * (g + 1)) % 7))
				if k, ok := c.Get(s, 1); ok && k != want {
					t.Error("half a key")
				}
				c.Put(s, 1, want)
				if i%50 == 0 {
					c.Drop(s.AccessKeyID)
				}
			}
		})
	}
	wg.Wait()
}
