package secretsmanager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// together runs fn n times at once.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			fn(i)
		})
	}
	close(gate)
	wg.Wait()
}

// count adds up outcomes of concurrent calls.
type count struct {
	mu sync.Mutex
	by map[string]int
}

func (c *count) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int{}
	}
	code := "success"
	if err != nil {
		code = err.Error()
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		code = e.ErrorCode()
	}
	c.by[code]++
}

// TestSameTokenAtOnce: however many retries of one request meet, there is one
// version, and all are told the same (spec 1.8, 2.3 to 2.5).
func TestSameTokenAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const callers = 64
		w.createWith(t, "s", tokenA, "v1")
		for name, do := range map[string]func(token, value string) error{
			"create": func(token, value string) error {
				out, err := w.c.CreateSecret(t.Context(), &sm.CreateSecretInput{Name: new("new"), SecretString: &value, ClientRequestToken: &token})
				if err == nil && *out.VersionId != token {
					err = fmt.Errorf("version %s", *out.VersionId)
				}
				return err
			},
			"put": func(token, value string) error {
				out, err := w.c.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: new("s"), SecretString: &value, ClientRequestToken: &token})
				if err == nil && (*out.VersionId != token || !slices.Equal(out.VersionStages, []string{"AWSCURRENT"})) {
					err = fmt.Errorf("version %s %v", *out.VersionId, out.VersionStages)
				}
				return err
			},
			"update": func(token, value string) error {
				out, err := w.c.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: new("s"), SecretString: &value, ClientRequestToken: &token})
				if err == nil && *out.VersionId != token {
					err = fmt.Errorf("version %s", *out.VersionId)
				}
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				id, before := "s", 1
				if name == "create" {
					id, before = "new", 0
				} else {
					before = len(w.versions(t, sm.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: new(true)}))
				}
				same := name + strings.Repeat("-", 32)
				var got count
				together(callers, func(int) { got.add(do(same, "same")) })
				if got.by["success"] != callers {
					t.Errorf("the same request %d times: %v", callers, got.by)
				}
				if n := len(w.versions(t, sm.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: new(true)})); n != before+1 {
					t.Errorf("%d versions, before %d", n, before)
				}
				if name == "create" {
					return
				}
				// Different values under one token: one wins, the others are told.
				var lost count
				contested := "contested" + same
				together(callers, func(i int) { lost.add(do(contested, fmt.Sprint(i))) })
				if lost.by["success"] != 1 || lost.by[exists] != callers-1 {
					t.Errorf("different values under one token: %v", lost.by)
				}
			})
		}
	})
}

// TestChangesAtOnce: what different callers change together is all there in the
// end.
func TestChangesAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const callers = 8
		w.createWith(t, "s", tokenA, "v1")
		var got count
		together(callers, func(i int) {
			_, err := w.c.TagResource(t.Context(), &sm.TagResourceInput{SecretId: new("s"), Tags: tags(fmt.Sprintf("k%d=v", i))})
			got.add(err)
		})
		if n := len(w.describe(t, "s").Tags); got.by["success"] != callers || n != callers {
			t.Errorf("%d tags after %v", n, got.by)
		}
		var puts count
		together(callers*2, func(i int) {
			_, err := w.c.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: new("s"), SecretString: new("v"), ClientRequestToken: new(tokenOf(i))})
			puts.add(err)
		})
		d := w.describe(t, "s")
		if puts.by["success"] != callers*2 || len(d.VersionIdsToStages) != 2 {
			t.Errorf("after %v the labelled versions are %v", puts.by, d.VersionIdsToStages)
		}
		if n := len(w.versions(t, sm.ListSecretVersionIdsInput{SecretId: new("s"), IncludeDeprecated: new(true)})); n != callers*2+1 {
			t.Errorf("%d versions", n)
		}
		// Many want the name, one gets it.
		var created count
		together(callers, func(i int) {
			_, err := w.c.CreateSecret(t.Context(), &sm.CreateSecretInput{Name: new("one"), SecretString: new("v"), ClientRequestToken: new(tokenOf(i))})
			created.add(err)
		})
		if created.by["success"] != 1 || created.by[exists] != callers-1 {
			t.Errorf("creations of one name: %v", created.by)
		}
	})
}

// TestKeyChangeAgainstWrites: while values are written, the key changes; in the
// end every labelled version is under the key that is shown, or the values
// written later are (spec 13.3).
func TestKeyChangeAgainstWrites(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		key := w.key(t, "", "")
		for round := range 12 {
			name := fmt.Sprintf("s%d", round)
			w.createWith(t, name, tokenA, "v")
			together(2, func(i int) {
				if i == 0 {
					if _, err := w.c.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: &name, KmsKeyId: &key}); err != nil {
						t.Errorf("key change: %v", err)
					}
					return
				}
				for n := range 3 {
					if _, err := w.c.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &name, SecretString: new("v"), ClientRequestToken: new(tokenOf(n))}); err != nil {
						t.Errorf("put: %v", err)
					}
				}
			})
			keys := w.keysOf(t, name)
			for id := range w.describe(t, name).VersionIdsToStages {
				if keys[id] != key {
					t.Errorf("round %d: labelled version %s is under %s", round, id, keys[id])
				}
			}
		}
	})
}
