package sts

import (
	"errors"
	"time"

	"github.com/strongroom/strongroom/internal/auth/session"
	"github.com/strongroom/strongroom/internal/aws"
)

// issue makes credentials for a session that lasts from now on. packed is how much
// of the room for policies and tags it takes, in per cent.
func (s *Service) issue(made *aws.Session, lifetime time.Duration) (c *Credentials, packed int32, err error) {
	// Whole seconds, as AWS shows them: what a policy or a client compares is then
	// the time in force.
	made.Issued = s.Now().UTC().Truncate(time.Second)
	made.Expires = made.Issued.Add(lifetime)
	out, err := session.New(s.Sessions, made)
	if tooBig, ok := errors.AsType[*session.TooLargeError](err); ok {
		return nil, 0, tooLarge(tooBig.Packed)
	}
	if err != nil {
		return nil, 0, err
	}
	return &Credentials{
		AccessKeyId: &out.AccessKeyID, SecretAccessKey: new(aws.SensitiveString(out.SecretAccessKey)),
		SessionToken: new(aws.SensitiveString(out.Token)), Expiration: aws.NewTime(made.Expires),
	}, int32(out.Packed), nil
}

// recorded is how an audit record shows credentials: the key id, by which later
// calls are traced to this one. CloudTrail shows the token too; here it would be
// half of a secret in a file.
func recorded(c *Credentials) map[string]any {
	return map[string]any{
		"accessKeyId": *c.AccessKeyId,
		// CloudTrail's spelling of times in responseElements (spec secretsmanager.md
		// 14.1).
		"expiration": c.Expiration.UTC().Format("Jan 2, 2006 3:04:05 PM"),
	}
}

// lifetime is the duration that was asked for, or the one that goes without
// saying.
func lifetime(seconds *int32, otherwise time.Duration) time.Duration {
	if seconds == nil {
		return otherwise
	}
	return time.Duration(*seconds) * time.Second
}
