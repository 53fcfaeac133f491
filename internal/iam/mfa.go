package iam

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// seedPurpose separates the seeds of MFA devices from all else the keyring seals.
const seedPurpose = "iam.mfa-seed"

// seedContext binds a sealed seed to its device.
func seedContext(m *mfaDevice) []byte { return []byte(m.Account + "/" + m.ID) }

func openSeed(keys Sealer, m *mfaDevice) ([]byte, error) {
	seed, err := keys.Open(seedPurpose, seedContext(m), m.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open seed of MFA device %s: %w", m.Serial, err)
	}
	return seed, nil
}

// maxSerial is the longest serial number that the model takes where a device is
// named.
const maxSerial = 256

// mfaARN is the ARN of a virtual device, which is its serial number.
func mfaARN(account, path, name string) string { return entityARN(account, "mfa", path, name) }

// CreateVirtualMFADevice makes a device that is nobody's yet. Its seed is shown in
// this answer only.
func (s *Service) CreateVirtualMFADevice(ctx context.Context, in *CreateVirtualMFADeviceInput) (*CreateVirtualMFADeviceOutput, error) {
	call := wire.CallFrom(ctx)
	m := mfaDevice{Account: call.Principal.Account, ID: aws.NewUUID()}
	m.Serial = mfaARN(m.Account, deref(in.Path, "/"), *in.VirtualMFADeviceName)
	if len(m.Serial) > maxSerial {
		// AWS bounds the name at 226 characters; with the path, the device could not
		// be named in any other call.
		return nil, wire.Invalid(ErrInvalidInput("ARN %s is not valid.", m.Serial))
	}
	var err error
	if m.Tags, err = foldedTags.read(in.Tags); err != nil {
		return nil, err
	}
	// As with users, tags need a permission of their own.
	for _, action := range []string{"CreateVirtualMFADevice", "TagMFADevice"} {
		if action == "TagMFADevice" && len(m.Tags) == 0 {
			break
		}
		if err := s.auth.Authorize(ctx, &auth.Request{
			Action: "iam:" + action, Resource: m.Serial, Shown: m.Serial, Account: m.Account, Tags: m.Tags, Keys: auth.RequestTags(m.Tags),
		}); err != nil {
			return nil, err
		}
	}
	call.Touch(m.resource())
	call.ResponseElements = map[string]any{"virtualMFADevice": map[string]any{"serialNumber": m.Serial}}
	seed := make([]byte, seedBytes)
	rand.Read(seed)
	defer clear(seed)
	if m.Sealed, err = s.keys.Seal(seedPurpose, seedContext(&m), seed); err != nil {
		return nil, fmt.Errorf("seal MFA seed: %w", err)
	}
	var aliases []string
	err = s.db.Write(ctx, func(tx store.Tx) error {
		held, err := count(tx, `SELECT COUNT(*) FROM iam_mfa_devices WHERE account = $1 AND serial = $2`, m.Account, m.Serial)
		if err != nil {
			return err
		}
		if held > 0 {
			return ErrEntityAlreadyExists("MFADevice entity at the same path and name already exists.")
		}
		// As many as there may be users (IAM User Guide, "IAM and STS quotas").
		n, err := count(tx, `SELECT COUNT(*) FROM iam_mfa_devices WHERE account = $1`, m.Account)
		if err != nil {
			return err
		}
		if n >= s.quotas.UsersPerAccount {
			return ErrLimitExceeded("Cannot exceed quota for VirtualMFADevicesPerAccount: %d", s.quotas.UsersPerAccount)
		}
		if aliases, err = accountAliases(tx, m.Account); err != nil {
			return err
		}
		m.CreatedAt = tx.Now()
		return saveMFADevice(tx, m)
	})
	if err != nil {
		return nil, err
	}
	out := &VirtualMFADevice{SerialNumber: &m.Serial, Tags: wireTags(m.Tags)}
	out.Base32StringSeed = []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed))
	accountName := append(aliases, m.Account)[0]
	code, err := qr.Encode(otpauth(accountName, *in.VirtualMFADeviceName, string(out.Base32StringSeed)), qr.M)
	if err != nil {
		return nil, fmt.Errorf("encode QR code: %w", err)
	}
	out.QRCodePNG = code.PNG()
	return &CreateVirtualMFADeviceOutput{VirtualMFADevice: out}, nil
}

// otpauth is the address that authenticator apps read (API Reference,
// VirtualMFADevice: the account's alias, if it has one), with our name for the app
// to show beside the user's.
func otpauth(accountName, device, seed string) string {
	return "otpauth://totp/" + url.PathEscape(device+"@"+accountName) + "?secret=" + seed + "&issuer=Strongroom"
}

// EnableMFADevice gives a device to a user, who shows with two codes in a row that
// it works.
func (s *Service) EnableMFADevice(ctx context.Context, in *EnableMFADeviceInput) (*EnableMFADeviceOutput, error) {
	u, err := s.authorizeUser(ctx, "EnableMFADevice", *in.UserName)
	if err != nil {
		return nil, err
	}
	m, err := s.findMFADevice(ctx, u.Account, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	wire.CallFrom(ctx).Touch(m.resource())
	seed, err := openSeed(s.keys, &m)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	return &EnableMFADeviceOutput{}, s.update(ctx, u, func(tx store.Tx) error {
		m, err := sameMFADevice(tx, m)
		if err != nil {
			return err
		}
		if m.UserID != "" {
			return ErrEntityAlreadyExists("MFA Device is already in use.")
		}
		held, err := mfaDevicesOf(tx, u.Account, u.ID)
		if err != nil {
			return err
		}
		if len(held) >= s.quotas.MFADevicesPerUser {
			return ErrLimitExceeded("Cannot exceed quota for MFADevicesPerUser: %d", s.quotas.MFADevicesPerUser)
		}
		// Guesses are not counted here: nothing rests on a device that is nobody's,
		// and two codes at once are twelve digits.
		step, ok := matchPair(seed, string(*in.AuthenticationCode1), string(*in.AuthenticationCode2), tx.Now(), m.LastStep)
		if !ok {
			return ErrInvalidAuthenticationCode("Authentication code for device is not valid.")
		}
		m.UserID, m.EnabledAt, m.LastStep = u.ID, tx.Now(), step
		return saveMFADevice(tx, m)
	})
}

// DeactivateMFADevice takes a device from its user. The device stays.
func (s *Service) DeactivateMFADevice(ctx context.Context, in *DeactivateMFADeviceInput) (*DeactivateMFADeviceOutput, error) {
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "DeactivateMFADevice", name)
	if err != nil {
		return nil, err
	}
	m, err := s.findMFADevice(ctx, u.Account, *in.SerialNumber)
	if err != nil {
		return nil, err
	}
	wire.CallFrom(ctx).Touch(m.resource())
	return &DeactivateMFADeviceOutput{}, s.update(ctx, u, func(tx store.Tx) error {
		m, err := sameMFADevice(tx, m)
		if err != nil {
			return err
		}
		if m.UserID != u.ID {
			return ErrNoSuchEntity("MFA Device invalid for user.")
		}
		// The step stays, so that codes already used stay used.
		m.UserID, m.EnabledAt, m.tries = "", time.Time{}, tries{}
		return saveMFADevice(tx, m)
	})
}

// DeleteVirtualMFADevice destroys a device that is nobody's, and its seed.
func (s *Service) DeleteVirtualMFADevice(ctx context.Context, in *DeleteVirtualMFADeviceInput) (*DeleteVirtualMFADeviceOutput, error) {
	call := wire.CallFrom(ctx)
	account := call.Principal.Account
	m, missing := s.findMFADevice(ctx, account, *in.SerialNumber)
	if missing != nil && !isNoSuchEntity(missing) {
		return nil, missing
	}
	if err := s.auth.Authorize(ctx, &auth.Request{
		Action: "iam:DeleteVirtualMFADevice", Resource: *in.SerialNumber, Shown: *in.SerialNumber, Account: account, Tags: m.Tags,
	}); err != nil {
		return nil, err
	}
	if missing != nil {
		return nil, missing
	}
	call.Touch(m.resource())
	return &DeleteVirtualMFADeviceOutput{}, s.db.Write(ctx, func(tx store.Tx) error {
		m, err := sameMFADevice(tx, m)
		if err != nil {
			return err
		}
		if m.UserID != "" {
			return ErrDeleteConflict("MFA VirtualDevice in use. Must deactivate first.")
		}
		return deleteMFADevice(tx, m.Account, m.Serial)
	})
}

// ListMFADevices lists the devices of a user, or the caller.
func (s *Service) ListMFADevices(ctx context.Context, in *ListMFADevicesInput) (*ListMFADevicesOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, validSerialTail)
	if err != nil {
		return nil, err
	}
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "ListMFADevices", name)
	if err != nil {
		return nil, err
	}
	var held []mfaDevice
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		held, err = mfaDevicesOf(tx, u.Account, u.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	held, marker := cut(held, func(m mfaDevice) string { return serialTail(m.Serial) }, after, limit)
	out := &ListMFADevicesOutput{MFADevices: []MFADevice{}, IsTruncated: new(marker != nil), Marker: marker}
	for _, m := range held {
		out.MFADevices = append(out.MFADevices, MFADevice{UserName: &u.Name, SerialNumber: &m.Serial, EnableDate: wireTime(m.EnabledAt)})
	}
	return out, nil
}

// ListVirtualMFADevices lists the account's devices, with the users that have
// them, without tags and seeds.
func (s *Service) ListVirtualMFADevices(ctx context.Context, in *ListVirtualMFADevicesInput) (*ListVirtualMFADevicesOutput, error) {
	after, limit, err := pageOf(in.Marker, in.MaxItems, validSerialTail)
	if err != nil {
		return nil, err
	}
	account := wire.CallFrom(ctx).Principal.Account
	arn := mfaARN(account, "/", "")
	if err := s.auth.Authorize(ctx, &auth.Request{Action: "iam:ListVirtualMFADevices", Resource: arn, Shown: arn, Account: account}); err != nil {
		return nil, err
	}
	status := AssignmentStatusAny
	if in.AssignmentStatus != nil {
		status = *in.AssignmentStatus
	}
	if after != "" {
		after = strings.TrimSuffix(arn, "/") + after
	}
	var found []mfaDevice
	var owners map[string]user
	err = s.db.Read(ctx, func(tx store.Tx) (err error) {
		found, err = listMFADevices(tx, account, after, status == AssignmentStatusAny, status == AssignmentStatusAssigned, limit+1)
		if err != nil || len(found) == 0 {
			return err
		}
		owners, err = usersOfMFADevices(tx, account, found[0].Serial, found[len(found)-1].Serial)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &ListVirtualMFADevicesOutput{VirtualMFADevices: []VirtualMFADevice{}, IsTruncated: new(len(found) > limit)}
	if len(found) > limit {
		found = found[:limit]
		out.Marker = nextMarker(serialTail(found[limit-1].Serial))
	}
	for _, m := range found {
		v := VirtualMFADevice{SerialNumber: &m.Serial}
		if u, ok := owners[m.UserID]; ok {
			u.Tags, u.Boundary = nil, ""
			v.User, v.EnableDate = new(wireUser(u)), wireTime(m.EnabledAt)
		}
		out.VirtualMFADevices = append(out.VirtualMFADevices, v)
	}
	return out, nil
}

// serialTail is what markers hold of a serial number: path and name. The whole
// would make them longer than the model lets them be.
func serialTail(serial string) string { return serial[strings.IndexByte(serial, '/'):] }

func validSerialTail(text string) bool {
	for _, c := range text {
		if c < '!' || c > '~' {
			return false
		}
	}
	return strings.HasPrefix(text, "/")
}

// findMFADevice returns a device of the account, or AWS's error.
func (s *Service) findMFADevice(ctx context.Context, account, serial string) (m mfaDevice, err error) {
	err = s.db.Read(ctx, func(tx store.Tx) error {
		m, err = getMFADevice(tx, account, serial)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return m, errNoMFADevice(serial)
	}
	return m, err
}

// sameMFADevice returns m as it is now, or AWS's error when it is gone, be there
// another one in its place.
func sameMFADevice(tx store.Tx, m mfaDevice) (mfaDevice, error) {
	now, err := getMFADevice(tx, m.Account, m.Serial)
	if errors.Is(err, store.ErrNoRows) || err == nil && now.ID != m.ID {
		return now, errNoMFADevice(m.Serial)
	}
	return now, err
}

func errNoMFADevice(serial string) *aws.Error {
	return ErrNoSuchEntity("VirtualMFADevice with serial number %s doesn't exist.", serial)
}
