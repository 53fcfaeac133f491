package iam_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/servertest"
)

// A change is in force for every request that begins after it was acknowledged,
// however many are under way.
func TestChangesHoldAtOnce(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options...)
			key := b.User(t, "bob", servertest.Allow("*", "iam:GetUser"))
			set := func(status types.StatusType) func() error {
				return func() error {
					_, err := b.admin.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{UserName: str("bob"), AccessKeyId: &key.AccessKeyID, Status: status})
					return err
				}
			}
			// What a change leads to: the code that requests get from then on.
			changes := []struct {
				code string
				make func() error
			}{
				{"AccessDenied", func() error { return b.put("bob", "test", servertest.Deny("*", "iam:GetUser")) }},
				{"", func() error { return b.put("bob", "test", servertest.Allow("*", "iam:GetUser")) }},
				{"InvalidClientTokenId", set(types.StatusTypeInactive)},
				{"", set(types.StatusTypeActive)},
				{"AccessDenied", func() error {
					_, err := b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: str("bob"), PolicyName: str("test")})
					return err
				}},
				{"", func() error { return b.put("bob", "test", servertest.Allow("*", "iam:*")) }},
			}
			var state atomic.Pointer[string] // nil while a change is under way
			state.Store(new(""))
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var asked atomic.Int64
			for range 32 {
				client := b.as(key)
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						before := state.Load()
						_, err := client.GetUser(t.Context(), nil)
						if state.Load() != before || before == nil {
							continue // It met a change; either answer is right.
						}
						asked.Add(1)
						if got := code(err); got != *before {
							t.Errorf("answered %q where %q is in force: %v", got, *before, err)
							return
						}
					}
				})
			}
			for range 4 {
				for i := range changes {
					state.Store(nil)
					ok(t, changes[i].make())
					state.Store(&changes[i].code)
					for n := asked.Load(); asked.Load() < n+32 && !t.Failed(); {
						time.Sleep(time.Millisecond)
					}
				}
			}
			close(stop)
			wg.Wait()
			t.Logf("%d requests judged", asked.Load())
		})
	}
}

// code is an error's code, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return err.Error()
}

// A user that is gone takes its keys along: they are deleted first, and nothing
// that was cached of them answers.
func TestDeletedUsersAreGone(t *testing.T) {
	b := start(t)
	for i := range 3 {
		name := fmt.Sprint("user", i)
		key := b.User(t, name, servertest.Allow("*", "iam:GetUser"))
		client := b.as(key)
		must(client.GetUser(t.Context(), nil))(t)
		must(b.admin.DeleteUserPolicy(t.Context(), &sdk.DeleteUserPolicyInput{UserName: &name, PolicyName: str("test")}))(t)
		must(b.admin.DeleteAccessKey(t.Context(), &sdk.DeleteAccessKeyInput{UserName: &name, AccessKeyId: &key.AccessKeyID}))(t)
		must(b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: &name}))(t)
		// The name again, for somebody else.
		b.User(t, name, servertest.Allow("*", "*"))
		if _, err := client.GetUser(t.Context(), nil); code(err) != "InvalidClientTokenId" {
			t.Errorf("the old key is answered %v", err)
		}
	}
}

// Quotas hold when many ask at once.
func TestQuotasUnderConcurrency(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			b := start(t, options...)
			b.createUser("bob", "")
			var made, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					_, err := b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("bob")})
					count(t, &made, &refused, err, "LimitExceeded")
				})
				wg.Go(func() {
					_, err := b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str([]string{"eve", "EVE", "Eve", "eVe"}[i%4])})
					count(t, &made, &refused, err, "EntityAlreadyExists")
				})
			}
			wg.Wait()
			if made.Load() != 3 || refused.Load() != 29 {
				t.Errorf("%d made, want 2 keys and 1 user; %d refused", made.Load(), refused.Load())
			}
			if n := len(must(b.admin.ListAccessKeys(t.Context(), &sdk.ListAccessKeysInput{UserName: str("bob")}))(t).AccessKeyMetadata); n != 2 {
				t.Errorf("%d keys", n)
			}
		})
	}
}

func count(t *testing.T, made, refused *atomic.Int64, err error, want string) {
	switch got := code(err); got {
	case "":
		made.Add(1)
	case want:
		refused.Add(1)
	default:
		t.Errorf("%v", err)
	}
}

// Whoever leaves its name out of a call means itself, also right after it was renamed
// and another user got the name.
func TestCallerWithoutNameIsItself(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		bob := b.as(b.User(t, "bob", servertest.Allow("*", "iam:*")))
		was := must(bob.GetUser(t.Context(), nil))(t).User
		must(b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("bob"), NewUserName: str("robert")}))(t)
		b.createUser("bob", "")
		made := must(bob.CreateAccessKey(t.Context(), nil))(t).AccessKey
		if *made.UserName != "robert" {
			t.Errorf("a key was made for %s", *made.UserName)
		}
		if is := must(bob.GetUser(t.Context(), nil))(t).User; *is.UserId != *was.UserId {
			t.Errorf("the caller is %s", *is.UserName)
		}
	})
}
