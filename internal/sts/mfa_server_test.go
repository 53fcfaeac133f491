package sts_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

// device is somebody's authenticator.
type device struct {
	serial string
	seed   []byte
}

// code is the code of a moment (RFC 6238).
func (d *device) code(at time.Time) string {
	mac := hmac.New(sha1.New, d.seed)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[from:from+4])&0x7fffffff)%1_000_000)
}

// enable gives a user a device. It uses up the codes of the last minute.
func (b *stand) enable(t *testing.T, user string) *device {
	t.Helper()
	made, err := b.IAM().CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &user})
	ok(t, err)
	d := &device{serial: *made.VirtualMFADevice.SerialNumber}
	d.seed, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(string(made.VirtualMFADevice.Base32StringSeed), "="))
	ok(t, err)
	now := b.watch.now()
	one, two := d.code(now.Add(-30*time.Second)), d.code(now)
	_, err = b.IAM().EnableMFADevice(t.Context(), &iam.EnableMFADeviceInput{UserName: &user, SerialNumber: &d.serial, AuthenticationCode1: &one, AuthenticationCode2: &two})
	ok(t, err)
	b.watch.add(30 * time.Second)
	return d
}

// A second factor shown with the request, or by the session that makes it, opens
// what asks for one, once, and IAM to session tokens.
func TestSecondFactor(t *testing.T) {
	b := newStand(t)
	bob, eve := b.User(t, "bob", servertest.Allow("*", "*")), b.User(t, "eve", servertest.Allow("*", "*"))
	d := b.enable(t, "bob")
	present := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + home + `"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}}]}`
	role := b.Role(t, b.Admin, "safe", present, servertest.Allow("*", "*"))
	shown := func(code string) func(*input) {
		return func(in *input) { in.SerialNumber, in.TokenCode = &d.serial, &code }
	}
	_, err := b.assume(bob, role)
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole on resource: "+role)
	code := d.code(b.watch.now())
	_, err = b.assume(eve, role, shown(code))
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ")
	key := b.AssumeRole(t, bob, role, shown(code))
	ok(t, b.read(key))
	_, err = b.assume(bob, role, shown(code))
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ")

	b.watch.add(30 * time.Second)
	code = d.code(b.watch.now())
	out, err := b.STS(bob).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: &d.serial, TokenCode: &code})
	ok(t, err)
	session := servertest.Session(out.Credentials)
	_, err = b.IAMAs(session).ListUsers(t.Context(), nil)
	ok(t, err)
	_, err = b.assume(session, role)
	ok(t, err)
	// The session remembers when, and the policy asks for how long ago.
	b.watch.add(299 * time.Second)
	_, err = b.assume(session, role)
	ok(t, err)
	b.watch.add(time.Second)
	_, err = b.assume(session, role)
	want(t, "AssumeRole", err, forbidden, "AccessDenied", "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: sts:AssumeRole on resource: "+role)
	// The role's own session does not tell of the factor, as at AWS.
	strict := b.Role(t, b.Admin, "strict", present, "")
	_, err = b.assume(key, strict)
	if err == nil {
		t.Error("a role's session shows a second factor")
	}
	plain, err := b.STS(bob).GetSessionToken(t.Context(), nil)
	ok(t, err)
	if _, err := b.IAMAs(servertest.Session(plain.Credentials)).ListUsers(t.Context(), nil); err == nil {
		t.Error("IAM by a session token without a second factor")
	}
	for _, k := range []server.Credentials{key, session} {
		if log := b.Log.String(); strings.Contains(log, k.SessionToken) {
			t.Error("a token is in the log")
		}
	}
}
