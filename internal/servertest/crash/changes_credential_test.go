package crash

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/strongroom/strongroom/internal/servertest"
)

// seeds are those of the MFA devices, which the server shows once: by data
// directory and id.
var seeds sync.Map

func serial(id string) *string {
	return aws.String("arn:aws:iam::" + servertest.Account + ":mfa/" + id)
}

func (c *clients) newDevice(id string) {
	c.Helper()
	out, err := c.iam.CreateVirtualMFADevice(c.ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &id})
	c.must(err)
	seed, err := base32.StdEncoding.DecodeString(string(out.VirtualMFADevice.Base32StringSeed))
	c.must(err)
	seeds.Store(c.dir+id, seed)
}

// newUserAndDevice makes both, not yet for each other.
func (c *clients) newUserAndDevice(id string) {
	c.Helper()
	c.newUser(id)
	c.newDevice(id)
}

func (c *clients) newUserWithDevice(id string) {
	c.Helper()
	c.newUserAndDevice(id)
	_, err := c.enable(id)
	c.must(err)
}

func (c *clients) enable(id string) (*iam.EnableMFADeviceOutput, error) {
	seed, _ := seeds.Load(c.dir + id)
	step := time.Now().Unix() / 30
	return c.iam.EnableMFADevice(c.ctx, &iam.EnableMFADeviceInput{UserName: &id, SerialNumber: serial(id),
		AuthenticationCode1: totp(seed.([]byte), step-1), AuthenticationCode2: totp(seed.([]byte), step)})
}

func totp(seed []byte, step int64) *string {
	h := hmac.New(sha1.New, seed)
	_ = binary.Write(h, binary.BigEndian, step) // A hash takes everything.
	sum := h.Sum(nil)
	return aws.String(fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]%16:])%(1<<31)%1e6))
}

// deviceState says whether there is a device of that name, and whose it is.
func (c *clients) deviceState(id string) string {
	c.Helper()
	out, err := c.iam.ListVirtualMFADevices(c.ctx, &iam.ListVirtualMFADevicesInput{})
	c.must(err)
	for _, d := range out.VirtualMFADevices {
		if *d.SerialNumber != *serial(id) {
			continue
		}
		if d.User == nil {
			return "nobody's"
		}
		return *d.User.UserName + "'s"
	}
	return "none"
}

func credentialChanges() []change {
	return []change{
		{"iam:CreateVirtualMFADevice", nil, simple(func(c *clients, id, target string) (*iam.CreateVirtualMFADeviceOutput, error) {
			return c.iam.CreateVirtualMFADevice(c.ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &id})
		}), false},
		{"iam:EnableMFADevice", (*clients).newUserAndDevice, simple(func(c *clients, id, target string) (*iam.EnableMFADeviceOutput, error) {
			return c.enable(id)
		}), false},
		{"iam:DeactivateMFADevice", (*clients).newUserWithDevice, simple(func(c *clients, id, target string) (*iam.DeactivateMFADeviceOutput, error) {
			return c.iam.DeactivateMFADevice(c.ctx, &iam.DeactivateMFADeviceInput{UserName: &id, SerialNumber: serial(id)})
		}), false},
		{"iam:DeleteVirtualMFADevice", (*clients).newDevice, simple(func(c *clients, id, target string) (*iam.DeleteVirtualMFADeviceOutput, error) {
			return c.iam.DeleteVirtualMFADevice(c.ctx, &iam.DeleteVirtualMFADeviceInput{SerialNumber: serial(id)})
		}), false},
	}
}
