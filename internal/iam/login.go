package iam

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

// maxReuse is how many old passwords a policy can look back on.
const maxReuse = 24

// CreateLoginProfile gives a user, or the caller, its first password.
func (s *Service) CreateLoginProfile(ctx context.Context, in *CreateLoginProfileInput) (*CreateLoginProfileOutput, error) {
	if in.Password == nil {
		// Optional in the model, for calls with AssumeRoot's credentials, which do not
		// exist here.
		return nil, wire.Invalid(validationError("1 validation error detected: Value at 'password' failed to satisfy constraint: Member must not be null"))
	}
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "CreateLoginProfile", name)
	if err != nil {
		return nil, err
	}
	held, policy, err := s.findLoginProfile(ctx, u)
	if err == nil {
		return nil, errHasLoginProfile(u)
	}
	if !isNoSuchEntity(err) {
		return nil, err
	}
	p := loginProfile{UserID: u.ID, ResetRequired: deref(in.PasswordResetRequired, false)}
	if p.Sealed, err = s.newPassword(ctx, u, held, &policy, *in.Password); err != nil {
		return nil, err
	}
	shown := map[string]any{"userName": u.Name, "passwordResetRequired": p.ResetRequired}
	wire.CallFrom(ctx).ResponseElements = map[string]any{"loginProfile": shown}
	err = s.update(ctx, u, func(tx store.Tx) error {
		if _, err := getLoginProfile(tx, u.Account, u.ID); err == nil {
			return errHasLoginProfile(u)
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		p.CreatedAt, p.ChangedAt = tx.Now(), tx.Now()
		return saveLoginProfile(tx, u.Account, p)
	})
	if err != nil {
		return nil, err
	}
	shown["createDate"] = recordTime(p.CreatedAt)
	return &CreateLoginProfileOutput{LoginProfile: wireLoginProfile(u, p)}, nil
}

// GetLoginProfile says whether a user, or the caller, has a password.
func (s *Service) GetLoginProfile(ctx context.Context, in *GetLoginProfileInput) (*GetLoginProfileOutput, error) {
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "GetLoginProfile", name)
	if err != nil {
		return nil, err
	}
	p, _, err := s.findLoginProfile(ctx, u)
	if err != nil {
		return nil, err
	}
	return &GetLoginProfileOutput{LoginProfile: wireLoginProfile(u, p)}, nil
}

// UpdateLoginProfile sets a user's password, or whether it has to be changed.
func (s *Service) UpdateLoginProfile(ctx context.Context, in *UpdateLoginProfileInput) (*UpdateLoginProfileOutput, error) {
	u, err := s.authorizeUser(ctx, "UpdateLoginProfile", *in.UserName)
	if err != nil {
		return nil, err
	}
	held, policy, err := s.findLoginProfile(ctx, u)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if in.Password != nil {
		if sealed, err = s.newPassword(ctx, u, held, &policy, *in.Password); err != nil {
			return nil, err
		}
	}
	return &UpdateLoginProfileOutput{}, s.update(ctx, u, func(tx store.Tx) error {
		now, err := getLoginProfile(tx, u.Account, u.ID)
		if errors.Is(err, store.ErrNoRows) {
			return errNoLoginProfile(u)
		}
		if err != nil {
			return err
		}
		now.ResetRequired = deref(in.PasswordResetRequired, now.ResetRequired)
		return replacePassword(tx, u, now, sealed)
	})
}

// ChangePassword replaces the caller's own password, which it has to know.
func (s *Service) ChangePassword(ctx context.Context, in *ChangePasswordInput) (*ChangePasswordOutput, error) {
	u, held, policy, err := s.authorizeSelf(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.verifyPassword(ctx, u, held, *in.OldPassword); err != nil {
		return nil, err
	}
	if *in.OldPassword == *in.NewPassword {
		return nil, errReused()
	}
	sealed, err := s.newPassword(ctx, u, held, &policy, *in.NewPassword)
	if err != nil {
		return nil, err
	}
	return &ChangePasswordOutput{}, s.update(ctx, u, func(tx store.Tx) error {
		now, err := getLoginProfile(tx, u.Account, u.ID)
		if errors.Is(err, store.ErrNoRows) {
			return errNoLoginProfile(u)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(now.Sealed, held.Sealed) {
			return errWrongPassword() // It was changed meanwhile.
		}
		now.ResetRequired = false
		return replacePassword(tx, u, now, sealed)
	})
}

// authorizeSelf decides on ChangePassword, with the account's password policy as
// one more policy to allow it.
func (s *Service) authorizeSelf(ctx context.Context) (u user, held loginProfile, policy passwordPolicy, err error) {
	call := wire.CallFrom(ctx)
	if call.Principal.Type != aws.PrincipalUser {
		return u, held, policy, wire.Invalid(ErrInvalidUserType("Only IAM Users can change their own password."))
	}
	var missing error
	err = s.db.Read(ctx, func(tx store.Tx) error {
		if u, err = getUserByID(tx, call.Principal.Account, call.Principal.EntityID); err != nil {
			return err
		}
		if policy, err = passwordPolicyOf(tx, u.Account); err != nil {
			return err
		}
		held, missing = getLoginProfile(tx, u.Account, u.ID)
		return nil
	})
	if errors.Is(err, store.ErrNoRows) {
		return u, held, policy, errNoEntity(userKind, call.Principal.UserName)
	}
	if err != nil {
		return u, held, policy, err
	}
	h := u.holder()
	q := h.request("ChangePassword")
	q.Shown = "user " + u.Name
	if q.Policy, err = policy.selfChange(u); err != nil {
		return u, held, policy, err
	}
	if err = s.auth.Authorize(ctx, q); err != nil {
		return u, held, policy, err
	}
	call.Touch(u.resource())
	if errors.Is(missing, store.ErrNoRows) {
		return u, held, policy, errNoLoginProfile(u)
	}
	return u, held, policy, missing
}

// verifyPassword compares the caller's password, slowing down those who guess: what
// came of a guess is told only if no wrong ones at the same time have used up the
// tries.
func (s *Service) verifyPassword(ctx context.Context, u user, held loginProfile, password aws.SensitiveString) error {
	if err := s.allowTry(ctx, u); err != nil {
		return err
	}
	right, err := s.isPassword(ctx, u, held.Sealed, password)
	if err != nil {
		return err
	}
	if right {
		return s.allowTry(ctx, u)
	}
	answer := errWrongPassword()
	// Not Write: the call itself is what the audit records.
	err = s.db.Maintain(ctx, func(tx store.Tx) error {
		now, err := getLoginProfile(tx, u.Account, u.ID)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if now.blocked(tx.Now()) {
			answer = errThrottled()
			return nil
		}
		answer = errWrongPassword()
		now.fail(tx.Now())
		return saveLoginProfile(tx, u.Account, now)
	})
	if err != nil {
		return err
	}
	return answer
}

// allowTry refuses a guess that comes too soon.
func (s *Service) allowTry(ctx context.Context, u user) error {
	err := s.db.Read(ctx, func(tx store.Tx) error {
		now, err := getLoginProfile(tx, u.Account, u.ID)
		if err == nil && now.blocked(tx.Now()) {
			return errThrottled()
		}
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return errNoLoginProfile(u)
	}
	return err
}

// DeleteLoginProfile takes a user's, or the caller's, password away.
func (s *Service) DeleteLoginProfile(ctx context.Context, in *DeleteLoginProfileInput) (*DeleteLoginProfileOutput, error) {
	name, err := s.callerOr(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := s.authorizeUser(ctx, "DeleteLoginProfile", name)
	if err != nil {
		return nil, err
	}
	return &DeleteLoginProfileOutput{}, s.update(ctx, u, func(tx store.Tx) error {
		found, err := deleteLoginProfile(tx, u.Account, u.ID)
		if err == nil && !found {
			return errNoLoginProfile(u)
		}
		return err
	})
}

// findLoginProfile returns a user's password, or AWS's error, and what the account
// asks of passwords.
func (s *Service) findLoginProfile(ctx context.Context, u user) (p loginProfile, policy passwordPolicy, err error) {
	err = s.db.Read(ctx, func(tx store.Tx) error {
		if policy, err = passwordPolicyOf(tx, u.Account); err != nil {
			return err
		}
		p, err = getLoginProfile(tx, u.Account, u.ID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		err = errNoLoginProfile(u)
	}
	return p, policy, err
}

// newPassword checks a password that replaces held against the policy, and seals
// it. Hashing takes its time, so it is done before the change and not in it.
func (s *Service) newPassword(ctx context.Context, u user, held loginProfile, policy *passwordPolicy, password aws.SensitiveString) ([]byte, error) {
	if !policy.allows(password) {
		return nil, ErrPasswordPolicyViolation("Password does not conform to the account password policy.")
	}
	if held.UserID != "" && policy.Reuse > 0 {
		var before [][]byte
		err := s.db.Read(ctx, func(tx store.Tx) (err error) {
			before, err = oldPasswords(tx, u.Account, u.ID, int(policy.Reuse)-1)
			return err
		})
		if err != nil {
			return nil, err
		}
		// The present one is the latest of those that may not be used again.
		for _, old := range append([][]byte{held.Sealed}, before...) {
			same, err := s.isPassword(ctx, u, old, password)
			if err != nil {
				return nil, err
			}
			if same {
				return nil, errReused()
			}
		}
	}
	return s.sealPassword(ctx, u, password)
}

// replacePassword writes a profile; sealed is its new password, nil to keep the
// old one.
func replacePassword(tx store.Tx, u user, p loginProfile, sealed []byte) error {
	if sealed != nil {
		if err := keepOldPassword(tx, u.Account, p); err != nil {
			return err
		}
		p.Sealed, p.ChangedAt, p.tries = sealed, tx.Now(), tries{}
	}
	return saveLoginProfile(tx, u.Account, p)
}

func wireLoginProfile(u user, p loginProfile) *LoginProfile {
	return &LoginProfile{UserName: &u.Name, CreateDate: wireTime(p.CreatedAt), PasswordResetRequired: &p.ResetRequired}
}

func errNoLoginProfile(u user) *aws.Error {
	return ErrNoSuchEntity("Login Profile for User %s cannot be found.", u.Name)
}

func errHasLoginProfile(u user) *aws.Error {
	return ErrEntityAlreadyExists("Login Profile for user %s already exists.", u.Name)
}

func errReused() *aws.Error {
	return ErrPasswordPolicyViolation("Policy constraint violation with password reuse prevention during password change.")
}

func errThrottled() *aws.Error {
	return &aws.Error{Code: "Throttling", Message: "Rate exceeded", Status: http.StatusBadRequest}
}

func errWrongPassword() *aws.Error {
	return &aws.Error{Code: accessDenied, Status: http.StatusForbidden, Message: "The old password was incorrect."}
}
