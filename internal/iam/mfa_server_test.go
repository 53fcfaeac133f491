package iam_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// phone is an authenticator app: RFC 6238 written a second time.
type phone struct {
	serial string
	seed   []byte
}

func (p *phone) code(at time.Time) *string {
	h := hmac.New(sha1.New, p.seed)
	_ = binary.Write(h, binary.BigEndian, at.Unix()/30)
	sum := h.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]%16:]) % (1 << 31)
	return str(fmt.Sprintf("%06d", n%1e6))
}

// clock is a server's clock that only the test moves, from the present on: the
// SDK signs by the real one.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixMicro())
	return c
}

func (c *clock) now() time.Time        { return time.UnixMicro(c.at.Load()) }
func (c *clock) move(by time.Duration) { c.at.Add(by.Microseconds()) }

// device makes a virtual device as somebody with a phone would.
func (b *bench) device(t *testing.T, name string) *phone {
	t.Helper()
	d := must(b.admin.CreateVirtualMFADevice(t.Context(), &sdk.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &name}))(t).VirtualMFADevice
	seed, err := base32.StdEncoding.DecodeString(string(d.Base32StringSeed))
	ok(t, err)
	return &phone{*d.SerialNumber, seed}
}

// enable gives a device to a user with the codes of the step at and the one before.
func (b *bench) enable(t *testing.T, user string, p *phone, at time.Time) error {
	_, err := b.admin.EnableMFADevice(t.Context(), &sdk.EnableMFADeviceInput{
		UserName: &user, SerialNumber: &p.serial, AuthenticationCode1: p.code(at.Add(-30 * time.Second)), AuthenticationCode2: p.code(at),
	})
	return err
}

func TestVirtualMFADeviceLife(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			b := start(t, append(options, servertest.Now(c.now))...)
			b.createUser("Bob", "/x/")
			made := must(b.admin.CreateVirtualMFADevice(t.Context(), &sdk.CreateVirtualMFADeviceInput{
				VirtualMFADeviceName: str("phone@x"), Path: str("/of/bob/"), Tags: []types.Tag{{Key: str("k"), Value: str("v")}},
			}))(t).VirtualMFADevice
			if *made.SerialNumber != "arn:aws:iam::111122223333:mfa/of/bob/phone@x" || len(made.Tags) != 1 || made.User != nil || made.EnableDate != nil {
				t.Errorf("%s %v %v %v", *made.SerialNumber, made.Tags, made.User, made.EnableDate)
			}
			if len(made.Base32StringSeed) != 64 {
				t.Errorf("seed of %d characters", len(made.Base32StringSeed))
			}
			if picture, err := png.Decode(bytes.NewReader(made.QRCodePNG)); err != nil || picture.Bounds().Dx() < 100 {
				t.Errorf("picture: %v", err)
			}
			seed, err := base32.StdEncoding.DecodeString(string(made.Base32StringSeed))
			ok(t, err)
			p := &phone{*made.SerialNumber, seed}

			ok(t, b.enable(t, "bob", p, c.now()))
			second := b.device(t, "second")
			c.move(30 * time.Second)
			ok(t, b.enable(t, "bob", second, c.now()))
			var serials []string
			for page := sdk.NewListMFADevicesPaginator(b.admin, &sdk.ListMFADevicesInput{UserName: str("bob"), MaxItems: new(int32(1))}); page.HasMorePages(); {
				for _, d := range must(page.NextPage(t.Context()))(t).MFADevices {
					serials = append(serials, *d.SerialNumber)
					if *d.UserName != "Bob" || c.now().Sub(*d.EnableDate) > time.Minute {
						t.Errorf("%s of %s since %v", *d.SerialNumber, *d.UserName, *d.EnableDate)
					}
				}
			}
			if want := []string{p.serial, second.serial}; !slices.Equal(serials, want) {
				t.Errorf("bob has %v", serials)
			}
			b.device(t, "spare")
			list := func(status types.AssignmentStatusType, size int32) (out []types.VirtualMFADevice) {
				for page := sdk.NewListVirtualMFADevicesPaginator(b.admin, &sdk.ListVirtualMFADevicesInput{AssignmentStatus: status, MaxItems: &size}); page.HasMorePages(); {
					out = append(out, must(page.NextPage(t.Context()))(t).VirtualMFADevices...)
				}
				return out
			}
			for status, want := range map[types.AssignmentStatusType]int{"": 3, types.AssignmentStatusTypeAny: 3, types.AssignmentStatusTypeAssigned: 2, types.AssignmentStatusTypeUnassigned: 1} {
				for _, size := range []int32{1, 2, 1000} {
					got := list(status, size)
					if len(got) != want {
						t.Errorf("%s by %d: %d devices", status, size, len(got))
					}
					for _, d := range got {
						spare := strings.HasSuffix(*d.SerialNumber, "/spare")
						if spare != (d.User == nil) || spare != (d.EnableDate == nil) || d.Tags != nil || d.Base32StringSeed != nil || d.QRCodePNG != nil {
							t.Errorf("%s: %+v", *d.SerialNumber, d)
						}
						if !spare && *d.User.Arn != "arn:aws:iam::111122223333:user/x/Bob" {
							t.Errorf("%s is %s's", *d.SerialNumber, *d.User.Arn)
						}
					}
				}
			}
			must(b.admin.DeactivateMFADevice(t.Context(), &sdk.DeactivateMFADeviceInput{UserName: str("BOB"), SerialNumber: &p.serial}))(t)
			if n := len(list(types.AssignmentStatusTypeUnassigned, 10)); n != 2 {
				t.Errorf("%d devices are nobody's", n)
			}
			// Codes that were used stay used, though the device is given again.
			b.want(t, "EnableMFADevice", b.enable(t, "bob", p, c.now()), 403, "InvalidAuthenticationCode", "Authentication code for device is not valid.")
			c.move(time.Minute)
			ok(t, b.enable(t, "admin", p, c.now()))
			must(b.admin.DeactivateMFADevice(t.Context(), &sdk.DeactivateMFADeviceInput{SerialNumber: &p.serial}))(t)
			must(b.admin.DeleteVirtualMFADevice(t.Context(), &sdk.DeleteVirtualMFADeviceInput{SerialNumber: &p.serial}))(t)
			if n := len(list("", 10)); n != 2 {
				t.Errorf("%d devices are left", n)
			}
		})
	}
}

func TestVirtualMFADeviceErrors(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, servertest.Now(c.now), servertest.Config(func(cfg *config.Config) { cfg.Quotas.Users = 10 }))
	b.createUser("bob", "")
	b.createUser("eve", "")
	create := func(name, path string, tags ...string) error {
		in := &sdk.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &name}
		if path != "" {
			in.Path = &path
		}
		for _, k := range tags {
			in.Tags = append(in.Tags, types.Tag{Key: &k, Value: str("v")})
		}
		_, err := b.admin.CreateVirtualMFADevice(t.Context(), in)
		return err
	}
	p := b.device(t, "phone")
	b.want(t, "CreateVirtualMFADevice", create("phone", ""), 409, "EntityAlreadyExists", "MFADevice entity at the same path and name already exists.")
	b.want(t, "CreateVirtualMFADevice", create("x", "", "a", "A"), 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	long := strings.Repeat("n", 230)
	b.want(t, "CreateVirtualMFADevice", create(long, ""), 400, "InvalidInput", "ARN arn:aws:iam::111122223333:mfa/"+long+" is not valid.")

	b.want(t, "EnableMFADevice", b.enable(t, "nobody", p, c.now()), 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	none := &phone{"arn:aws:iam::111122223333:mfa/none", p.seed}
	b.want(t, "EnableMFADevice", b.enable(t, "bob", none, c.now()), 404, "NoSuchEntity", "VirtualMFADevice with serial number "+none.serial+" doesn't exist.")
	wrong := func(first, second *string) error {
		_, err := b.admin.EnableMFADevice(t.Context(), &sdk.EnableMFADeviceInput{UserName: str("bob"), SerialNumber: &p.serial, AuthenticationCode1: first, AuthenticationCode2: second})
		return err
	}
	now, before := p.code(c.now()), p.code(c.now().Add(-30*time.Second))
	for _, codes := range [][2]*string{{now, now}, {now, before}, {before, p.code(c.now().Add(30 * time.Second))}, {p.code(c.now().Add(-2 * time.Minute)), p.code(c.now().Add(-90 * time.Second))}} {
		b.want(t, "EnableMFADevice", wrong(codes[0], codes[1]), 403, "InvalidAuthenticationCode", "Authentication code for device is not valid.")
	}
	ok(t, b.enable(t, "bob", p, c.now()))
	c.move(30 * time.Second)
	b.want(t, "EnableMFADevice", b.enable(t, "eve", p, c.now()), 409, "EntityAlreadyExists", "MFA Device is already in use.")
	for i := range 7 {
		ok(t, b.enable(t, "bob", b.device(t, fmt.Sprint("more-", i)), c.now()))
	}
	b.want(t, "EnableMFADevice", b.enable(t, "bob", b.device(t, "ninth"), c.now()), 409, "LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 8")
	ok(t, create("tenth", ""))
	b.want(t, "CreateVirtualMFADevice", create("eleventh", ""), 409, "LimitExceeded", "Cannot exceed quota for VirtualMFADevicesPerAccount: 10")

	_, err := b.admin.DeleteUser(t.Context(), &sdk.DeleteUserInput{UserName: str("bob")})
	b.want(t, "DeleteUser", err, 409, "DeleteConflict", "Cannot delete entity, must delete MFA device first.")
	deactivate := func(user, serial string) error {
		_, err := b.admin.DeactivateMFADevice(t.Context(), &sdk.DeactivateMFADeviceInput{UserName: &user, SerialNumber: &serial})
		return err
	}
	b.want(t, "DeactivateMFADevice", deactivate("nobody", p.serial), 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	b.want(t, "DeactivateMFADevice", deactivate("bob", none.serial), 404, "NoSuchEntity", "VirtualMFADevice with serial number "+none.serial+" doesn't exist.")
	b.want(t, "DeactivateMFADevice", deactivate("eve", p.serial), 404, "NoSuchEntity", "MFA Device invalid for user.")
	root := b.as(b.RootCredentials(t, servertest.Account).Credentials)
	const message = "Must specify userName when calling with non-User credentials"
	_, err = root.DeactivateMFADevice(t.Context(), &sdk.DeactivateMFADeviceInput{SerialNumber: &p.serial})
	b.want(t, "DeactivateMFADevice", err, 400, "ValidationError", message)
	_, err = root.ListMFADevices(t.Context(), nil)
	b.want(t, "ListMFADevices", err, 400, "ValidationError", message)

	remove := func(serial string) error {
		_, err := b.admin.DeleteVirtualMFADevice(t.Context(), &sdk.DeleteVirtualMFADeviceInput{SerialNumber: &serial})
		return err
	}
	b.want(t, "DeleteVirtualMFADevice", remove(p.serial), 409, "DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.")
	b.want(t, "DeleteVirtualMFADevice", remove(none.serial), 404, "NoSuchEntity", "VirtualMFADevice with serial number "+none.serial+" doesn't exist.")
	_, err = b.admin.ListMFADevices(t.Context(), &sdk.ListMFADevicesInput{UserName: str("nobody")})
	b.want(t, "ListMFADevices", err, 404, "NoSuchEntity", "The user with name nobody cannot be found.")
	for _, marker := range []string{"x", "cGhvbmU", "L8O8"} {
		_, err = b.admin.ListMFADevices(t.Context(), &sdk.ListMFADevicesInput{Marker: &marker})
		b.want(t, "ListMFADevices", err, 400, "ValidationError", "Invalid Marker.")
		_, err = b.admin.ListVirtualMFADevices(t.Context(), &sdk.ListVirtualMFADevicesInput{Marker: &marker})
		b.want(t, "ListVirtualMFADevices", err, 400, "ValidationError", "Invalid Marker.")
	}
}

func TestVirtualMFADeviceDenials(t *testing.T) {
	t.Parallel()
	b := start(t)
	p := b.device(t, "phone")
	stranger := b.as(b.User(t, "stranger", ""))
	denied := func(op, resource string, err error) {
		t.Helper()
		b.want(t, op, err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+
			" on resource: "+resource+" because no identity-based policy allows the iam:"+op+" action")
	}
	_, err := stranger.CreateVirtualMFADevice(t.Context(), &sdk.CreateVirtualMFADeviceInput{VirtualMFADeviceName: str("phone")})
	denied("CreateVirtualMFADevice", p.serial, err)
	_, err = stranger.EnableMFADevice(t.Context(), &sdk.EnableMFADeviceInput{UserName: str("stranger"), SerialNumber: &p.serial, AuthenticationCode1: str("000000"), AuthenticationCode2: str("000000")})
	denied("EnableMFADevice", "user stranger", err)
	_, err = stranger.DeactivateMFADevice(t.Context(), &sdk.DeactivateMFADeviceInput{SerialNumber: &p.serial})
	denied("DeactivateMFADevice", "user stranger", err)
	_, err = stranger.ListMFADevices(t.Context(), nil)
	denied("ListMFADevices", "user stranger", err)
	_, err = stranger.ListVirtualMFADevices(t.Context(), nil)
	denied("ListVirtualMFADevices", "arn:aws:iam::111122223333:mfa/", err)
	for _, serial := range []string{p.serial, p.serial + "-2"} {
		_, err = stranger.DeleteVirtualMFADevice(t.Context(), &sdk.DeleteVirtualMFADeviceInput{SerialNumber: &serial})
		denied("DeleteVirtualMFADevice", serial, err)
	}
	// Tags need a permission of their own.
	maker := b.as(b.User(t, "maker", servertest.Allow("*", "iam:CreateVirtualMFADevice")))
	_, err = maker.CreateVirtualMFADevice(t.Context(), &sdk.CreateVirtualMFADeviceInput{VirtualMFADeviceName: str("mine"), Tags: []types.Tag{{Key: str("k"), Value: str("v")}}})
	if err == nil || !strings.Contains(err.Error(), "iam:TagMFADevice on resource: arn:aws:iam::111122223333:mfa/mine because") {
		t.Errorf("%v", err)
	}
	// Another account's device is none of ours.
	other := b.as(b.Account(t, "444455556666"))
	_, err = other.DeleteVirtualMFADevice(t.Context(), &sdk.DeleteVirtualMFADeviceInput{SerialNumber: &p.serial})
	b.want(t, "DeleteVirtualMFADevice", err, 404, "NoSuchEntity", "VirtualMFADevice with serial number "+p.serial+" doesn't exist.")
}

func TestAccessKeyLastUsed(t *testing.T) {
	t.Parallel()
	b := start(t, servertest.ManualJobs())
	key := b.User(t, "bob", servertest.Allow("*", "secretsmanager:*", "iam:GetAccessKeyLastUsed"))
	ask := func(c *sdk.Client, id string) (*sdk.GetAccessKeyLastUsedOutput, error) {
		return c.GetAccessKeyLastUsed(t.Context(), &sdk.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	}
	got := must(ask(b.admin, key.AccessKeyID))(t)
	if *got.UserName != "bob" || got.AccessKeyLastUsed.LastUsedDate != nil || *got.AccessKeyLastUsed.Region != "N/A" || *got.AccessKeyLastUsed.ServiceName != "N/A" {
		t.Errorf("%s: %+v", *got.UserName, got.AccessKeyLastUsed)
	}
	must(b.SecretsAs(key, servertest.Other).ListSecrets(t.Context(), nil))(t)
	check := func() {
		t.Helper()
		u := must(ask(b.admin, key.AccessKeyID))(t).AccessKeyLastUsed
		if u.LastUsedDate == nil || time.Since(*u.LastUsedDate).Abs() > time.Minute || *u.Region != servertest.Other || *u.ServiceName != "secretsmanager" {
			t.Errorf("%+v", u)
		}
	}
	check()
	ok(t, b.Server.Server().RunJobsOnce(t.Context()))
	check()
	b.Restart()
	b.admin = b.IAM()
	check()
	// A wrong signature is no use of a key.
	forged := b.User(t, "eve", "")
	forged.SecretAccessKey = strings.Repeat("x", 40)
	_, err := b.as(forged).GetUser(t.Context(), nil)
	if err == nil {
		t.Error("a wrong secret was good")
	}
	if u := must(ask(b.admin, forged.AccessKeyID))(t).AccessKeyLastUsed; u.LastUsedDate != nil {
		t.Errorf("%+v", u)
	}
	// Root's own key has no user.
	root := b.RootCredentials(t, servertest.Account).Credentials
	must(b.as(root).GetUser(t.Context(), nil))(t)
	if got := must(ask(b.as(root), root.AccessKeyID))(t); got.UserName != nil || *got.AccessKeyLastUsed.ServiceName != "iam" {
		t.Errorf("root: %+v", got.AccessKeyLastUsed)
	}
	// Nobody learns whether a key is there by asking.
	stranger := b.as(b.User(t, "stranger", ""))
	for _, c := range []struct {
		client *sdk.Client
		who    string
		key    string
	}{{b.admin, "admin", "AKIAAAAAAAAAAAAAAAAA"}, {b.admin, "admin", strings.Repeat("_", 128)}, {stranger, "stranger", key.AccessKeyID}, {stranger, "stranger", "AKIAAAAAAAAAAAAAAAAA"}} {
		_, err := ask(c.client, c.key)
		b.want(t, "GetAccessKeyLastUsed", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/"+c.who+" is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key "+c.key)
	}
}
