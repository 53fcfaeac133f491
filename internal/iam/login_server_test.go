package iam_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

func (b *bench) login(user, password string) error {
	_, err := b.admin.CreateLoginProfile(b.Context(), &sdk.CreateLoginProfileInput{UserName: &user, Password: &password})
	return err
}

func (b *bench) setPassword(user, password string) error {
	_, err := b.admin.UpdateLoginProfile(b.Context(), &sdk.UpdateLoginProfileInput{UserName: &user, Password: &password})
	return err
}

func change(t *testing.T, c *sdk.Client, from, to string) error {
	_, err := c.ChangePassword(t.Context(), &sdk.ChangePasswordInput{OldPassword: &from, NewPassword: &to})
	return err
}

const (
	notConforming = "Password does not conform to the account password policy."
	reused        = "Policy constraint violation with password reuse prevention during password change."
	wrongPassword = "The old password was incorrect."
)

func TestLoginProfileLife(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		key := b.User(t, "Bob", servertest.Allow("*", "iam:ChangePassword", "iam:GetLoginProfile"))
		made := must(b.admin.CreateLoginProfile(t.Context(), &sdk.CreateLoginProfileInput{UserName: str("bob"), Password: str("first Password 1"), PasswordResetRequired: true}))(t).LoginProfile
		if *made.UserName != "Bob" || !made.PasswordResetRequired || time.Since(*made.CreateDate).Abs() > time.Minute {
			t.Errorf("%+v", made)
		}
		b.want(t, "CreateLoginProfile", b.login("BOB", "second Password 2"), 409, "EntityAlreadyExists", "Login Profile for user Bob already exists.")
		bob := b.as(key)
		b.want(t, "ChangePassword", change(t, bob, "first password 1", "second Password 2"), 403, "AccessDenied", wrongPassword)
		ok(t, change(t, bob, "first Password 1", "sécond Password 2"))
		got := must(bob.GetLoginProfile(t.Context(), nil))(t).LoginProfile
		if got.PasswordResetRequired || !got.CreateDate.Equal(*made.CreateDate) {
			t.Errorf("after the change: %+v", got)
		}
		b.want(t, "ChangePassword", change(t, bob, "first Password 1", "third Password 3"), 403, "AccessDenied", wrongPassword)
		b.want(t, "ChangePassword", change(t, bob, "sécond Password 2", "sécond Password 2"), 400, "PasswordPolicyViolation", reused)
		// The administrator needs no old one, and may ask for a new one.
		must(b.admin.UpdateLoginProfile(t.Context(), &sdk.UpdateLoginProfileInput{UserName: str("bob"), Password: str("third Password 3")}))(t)
		must(b.admin.UpdateLoginProfile(t.Context(), &sdk.UpdateLoginProfileInput{UserName: str("bob"), PasswordResetRequired: new(true)}))(t)
		if got := must(bob.GetLoginProfile(t.Context(), nil))(t).LoginProfile; !got.PasswordResetRequired {
			t.Errorf("%+v", got)
		}
		// A user keeps its password under another name.
		must(b.admin.UpdateUser(t.Context(), &sdk.UpdateUserInput{UserName: str("bob"), NewUserName: str("Robert")}))(t)
		ok(t, change(t, bob, "third Password 3", "fourth Password 4"))
		b.Restart()
		b.admin, bob = b.IAM(), b.as(key)
		ok(t, change(t, bob, "fourth Password 4", "fifth Password 5"))
		_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("robert")})
		if err == nil {
			t.Error("a user with all it has was deleted")
		}
		must(b.admin.DeleteLoginProfile(t.Context(), &sdk.DeleteLoginProfileInput{UserName: str("robert")}))(t)
		const none = "Login Profile for User Robert cannot be found."
		_, err = b.admin.GetLoginProfile(t.Context(), &sdk.GetLoginProfileInput{UserName: str("robert")})
		b.want(t, "GetLoginProfile", err, 404, "NoSuchEntity", none)
		_, err = b.admin.DeleteLoginProfile(t.Context(), &sdk.DeleteLoginProfileInput{UserName: str("robert")})
		b.want(t, "DeleteLoginProfile", err, 404, "NoSuchEntity", none)
		b.want(t, "UpdateLoginProfile", b.setPassword("robert", "sixth Password 6"), 404, "NoSuchEntity", none)
		b.want(t, "ChangePassword", change(t, bob, "fifth Password 5", "sixth Password 6"), 404, "NoSuchEntity", none)
		ok(t, b.login("robert", "fifth Password 5"))
	})
}

func TestLoginProfileErrors(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createUser("bob", "")
	const nobody = "The user with name nobody cannot be found."
	b.want(t, "CreateLoginProfile", b.login("nobody", "first Password 1"), 404, "NoSuchEntity", nobody)
	b.want(t, "UpdateLoginProfile", b.setPassword("nobody", "first Password 1"), 404, "NoSuchEntity", nobody)
	_, err := b.admin.GetLoginProfile(t.Context(), &sdk.GetLoginProfileInput{UserName: str("nobody")})
	b.want(t, "GetLoginProfile", err, 404, "NoSuchEntity", nobody)
	_, err = b.admin.DeleteLoginProfile(t.Context(), &sdk.DeleteLoginProfileInput{UserName: str("nobody")})
	b.want(t, "DeleteLoginProfile", err, 404, "NoSuchEntity", nobody)
	_, err = b.admin.CreateLoginProfile(t.Context(), &sdk.CreateLoginProfileInput{UserName: str("bob")})
	b.want(t, "CreateLoginProfile", err, 400, "ValidationError", "1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null")
	// Of a password that breaks a constraint nothing is told but that it does.
	for _, password := range []string{"bell\a", strings.Repeat("p", 129), "snow☃man"} {
		if err := b.login("bob", password); err == nil || !strings.Contains(err.Error(), "Value at 'password'") || strings.Contains(err.Error(), password) {
			t.Errorf("%v", err)
		}
	}
	b.want(t, "DeleteUser", func() error {
		ok(t, b.login("bob", "first Password 1"))
		_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")})
		return err
	}(), 409, "DeleteConflict", "Cannot delete entity, must delete login profile first.")
	root := b.as(b.RootCredentials(t, servertest.Account).Credentials)
	b.want(t, "ChangePassword", change(t, root, "a", "b"), 400, "InvalidUserType", "Only IAM Users can change their own password.")
	const message = "Must specify userName when calling with non-User credentials"
	_, err = root.CreateLoginProfile(t.Context(), &sdk.CreateLoginProfileInput{Password: str("first Password 1")})
	b.want(t, "CreateLoginProfile", err, 400, "ValidationError", message)
	_, err = root.GetLoginProfile(t.Context(), nil)
	b.want(t, "GetLoginProfile", err, 400, "ValidationError", message)
	_, err = root.DeleteLoginProfile(t.Context(), nil)
	b.want(t, "DeleteLoginProfile", err, 400, "ValidationError", message)

	stranger := b.as(b.User(t, "stranger", ""))
	denied := func(op, resource string, err error) {
		t.Helper()
		b.want(t, op, err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+
			" on resource: "+resource+" because no identity-based policy allows the iam:"+op+" action")
	}
	_, err = stranger.CreateLoginProfile(t.Context(), &sdk.CreateLoginProfileInput{UserName: str("bob"), Password: str("second Password 2")})
	denied("CreateLoginProfile", "user bob", err)
	_, err = stranger.GetLoginProfile(t.Context(), &sdk.GetLoginProfileInput{UserName: str("bob")})
	denied("GetLoginProfile", "user bob", err)
	_, err = stranger.UpdateLoginProfile(t.Context(), &sdk.UpdateLoginProfileInput{UserName: str("bob"), Password: str("second Password 2")})
	denied("UpdateLoginProfile", "user bob", err)
	_, err = stranger.DeleteLoginProfile(t.Context(), &sdk.DeleteLoginProfileInput{UserName: str("bob")})
	denied("DeleteLoginProfile", "user bob", err)
	denied("ChangePassword", "user stranger", change(t, stranger, "a", "b"))
	_, err = stranger.GetAccountPasswordPolicy(t.Context(), nil)
	denied("GetAccountPasswordPolicy", "*", err)
	_, err = stranger.UpdateAccountPasswordPolicy(t.Context(), nil)
	denied("UpdateAccountPasswordPolicy", "*", err)
	_, err = stranger.DeleteAccountPasswordPolicy(t.Context(), nil)
	denied("DeleteAccountPasswordPolicy", "*", err)
}

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		b.createUser("bob", "")
		const none = "The Password Policy with domain name 111122223333 cannot be found."
		get := func() (*sdk.GetAccountPasswordPolicyOutput, error) {
			return b.admin.GetAccountPasswordPolicy(t.Context(), nil)
		}
		_, err := get()
		b.want(t, "GetAccountPasswordPolicy", err, 404, "NoSuchEntity", none)
		_, err = b.admin.DeleteAccountPasswordPolicy(t.Context(), nil)
		b.want(t, "DeleteAccountPasswordPolicy", err, 404, "NoSuchEntity", none)
		// The default asks for eight characters of three kinds.
		for _, bad := range []string{"aB3$efg", "abcdefgh", "abcdefg1", "ABCDEFG$", "12345678$"} {
			b.want(t, "CreateLoginProfile", b.login("bob", bad), 400, "PasswordPolicyViolation", notConforming)
		}
		ok(t, b.login("bob", "abcdEFG1"))

		set := func(in sdk.UpdateAccountPasswordPolicyInput) {
			t.Helper()
			must(b.admin.UpdateAccountPasswordPolicy(t.Context(), &in))(t)
		}
		set(sdk.UpdateAccountPasswordPolicyInput{})
		p := must(get())(t).PasswordPolicy
		if *p.MinimumPasswordLength != 6 || p.RequireSymbols || p.RequireNumbers || p.RequireUppercaseCharacters || p.RequireLowercaseCharacters ||
			p.AllowUsersToChangePassword || p.ExpirePasswords || p.MaxPasswordAge != nil || p.PasswordReusePrevention != nil || p.HardExpiry != nil {
			t.Errorf("nothing given: %+v", p)
		}
		b.want(t, "UpdateLoginProfile", b.setPassword("bob", "abcde"), 400, "PasswordPolicyViolation", notConforming)
		ok(t, b.setPassword("bob", "abcdef"))
		set(sdk.UpdateAccountPasswordPolicyInput{
			MinimumPasswordLength: new(int32(10)), RequireSymbols: true, RequireNumbers: true, RequireUppercaseCharacters: true, RequireLowercaseCharacters: true,
			AllowUsersToChangePassword: true, MaxPasswordAge: new(int32(90)), PasswordReusePrevention: new(int32(3)), HardExpiry: new(true),
		})
		p = must(get())(t).PasswordPolicy
		if *p.MinimumPasswordLength != 10 || !p.RequireSymbols || !p.RequireNumbers || !p.RequireUppercaseCharacters || !p.RequireLowercaseCharacters ||
			!p.AllowUsersToChangePassword || !p.ExpirePasswords || *p.MaxPasswordAge != 90 || *p.PasswordReusePrevention != 3 || !*p.HardExpiry {
			t.Errorf("all given: %+v", p)
		}
		for _, bad := range []string{"aB3$efghi", "aB3Xefghij", "aBx$efghij", "a83$efghij", "AB3$EFGHIJ"} {
			b.want(t, "UpdateLoginProfile", b.setPassword("bob", bad), 400, "PasswordPolicyViolation", notConforming)
		}
		// The latest three, the present one among them, are not used again.
		for _, n := range []string{"1", "2", "3"} {
			ok(t, b.setPassword("bob", "aB3$efghij"+n))
		}
		for _, n := range []string{"1", "2", "3"} {
			b.want(t, "UpdateLoginProfile", b.setPassword("bob", "aB3$efghij"+n), 400, "PasswordPolicyViolation", reused)
		}
		ok(t, b.setPassword("bob", "aB3$efghij4"))
		ok(t, b.setPassword("bob", "aB3$efghij1"))
		// Everybody may change the own password now, and nobody another's.
		key := b.User(t, "eve", "")
		ok(t, b.login("eve", "aB3$efghij1"))
		eve := b.as(key)
		b.want(t, "ChangePassword", change(t, eve, "aB3$efghij1", "short"), 400, "PasswordPolicyViolation", notConforming)
		ok(t, change(t, eve, "aB3$efghij1", "aB3$efghij2"))
		b.SetPolicy(t, b.Admin, "eve", servertest.Deny("*", "iam:ChangePassword"))
		b.want(t, "ChangePassword", change(t, eve, "aB3$efghij2", "aB3$efghij3"), 403, "AccessDenied",
			"User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:ChangePassword on resource: user eve with an explicit deny in an identity-based policy")
		must(b.admin.DeleteAccountPasswordPolicy(t.Context(), nil))(t)
		_, err = get()
		b.want(t, "GetAccountPasswordPolicy", err, 404, "NoSuchEntity", none)
		for name, in := range map[string]sdk.UpdateAccountPasswordPolicyInput{
			"minimumPasswordLength": {MinimumPasswordLength: new(int32(5))}, "maxPasswordAge": {MaxPasswordAge: new(int32(1096))}, "passwordReusePrevention": {PasswordReusePrevention: new(int32(25))},
		} {
			if _, err := b.admin.UpdateAccountPasswordPolicy(t.Context(), &in); err == nil || !strings.Contains(err.Error(), "'"+name+"'") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Guesses at the old password get slow, also those made at the same time.
func TestPasswordGuesses(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, servertest.Now(c.now))
	bob := b.as(b.User(t, "bob", servertest.Allow("*", "iam:ChangePassword")))
	ok(t, b.login("bob", "first Password 1"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	for range 12 {
		wg.Go(func() {
			err := change(t, bob, "a guess", "second Password 2")
			mu.Lock()
			defer mu.Unlock()
			told[code(err)]++
		})
	}
	wg.Wait()
	if told["AccessDenied"] != 5 || told["Throttling"] != 7 {
		t.Errorf("%v", told)
	}
	b.want(t, "ChangePassword", change(t, bob, "first Password 1", "second Password 2"), 400, "Throttling", "Rate exceeded")
	c.move(30 * time.Second)
	ok(t, change(t, bob, "first Password 1", "second Password 2"))
	b.want(t, "ChangePassword", change(t, bob, "a guess", "third Password 3"), 403, "AccessDenied", wrongPassword)
}
