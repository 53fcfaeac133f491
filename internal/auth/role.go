package auth

import (
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
)

// Role is a role as its trust policy shows it to those who want to take it.
type Role struct {
	Account, ID, Name, ARN string
	// Trust says who may take the role: the resource policy of the decision, which
	// must itself allow (Request.Mandatory).
	Trust *policy.Source
	// MaxSession is the longest session that may be asked for.
	MaxSession time.Duration
	Tags       []aws.Tag
	// SessionsAfter is when the role's sessions were last voided; new ones carry it
	// (aws.Session.Voided).
	SessionsAfter time.Time
}
