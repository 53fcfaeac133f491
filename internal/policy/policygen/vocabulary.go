package policygen

import "slices"

const (
	home = "111122223333"
	away = "444455556666"
)

func other(account string) string {
	if account == home {
		return away
	}
	return home
}

// The vocabulary. These lists are constants in all but name: nothing writes
// to them.
var (
	users          = []string{"alice", "ops/bob"}
	roles          = []string{"app", "ops/deploy"}
	sessions       = []string{"s1", "alice"}
	federatedNames = []string{"fed1", "bob"}
	services       = []string{"secretsmanager.amazonaws.com", "delivery.example.amazonaws.com"}
	uniqueIDs      = []string{"AIDA0000000000000ALICE", "AIDA000000000000000BOB", "AROA000000000000000APP"}
	regions        = []string{"us-east-1", "us-east-1", "eu-west-1"}

	secrets = []string{
		"prod/db-AbCdEf", "prod/db/replica-AbCdEf", "dev/api-XyZ123", "users/alice/tok-AbCdEf", "users/bob/tok-AbCdEf",
		"red/key-QwErTy", "prod/clé-AbCdEf", "blue/key:1-QwErTy", "odd/a*b?c${x}-AbCdEf",
	}
	keys = []string{
		"key/1234abcd-12ab-34cd-56ef-1234567890ab", "key/mrk-red", "alias/prod",
	}

	secretActions = []string{
		"secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret",
		"secretsmanager:PutSecretValue", "secretsmanager:TagResource",
	}
	keyActions  = []string{"kms:Decrypt", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}
	stsActions  = []string{"sts:AssumeRole", "sts:AssumeRole", "sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:TagSession"}
	listActions = []string{"secretsmanager:ListSecrets", "kms:ListKeys", "sts:GetCallerIdentity"}

	words = []string{"prod", "Prod", "dev", "red", ""}
	teams = []string{"red", "red", "blue", "Red", "r*", "*", ""}
)

// valueKind is what a context key holds.
type valueKind int

const (
	stringKind valueKind = iota
	numericKind
	dateKind
	boolKind
	ipKind
	arnKind
	binaryKind
)

// pool holds what a request may say for a kind, and what a policy may say
// besides that. Both cluster around a boundary, with malformed values nearby;
// values that are easily mistaken for each other stand together.
type pool struct{ request, policy []string }

var (
	// dates are those that a policy may name: around one moment, and in every
	// form that IAM stores.
	dates = []string{
		"2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "1772366400", "2026-03-01T12:00Z", "2026-03-01T12:00:00.000Z",
		"2026-03-01T11:59:59.999Z", "2026-03-01T12:00:00.001Z", "2026-03-01T12:00:00.5Z", "2026-03-01T06:30:00.50-05:30",
		"2026-03-01T12:00:00.25Z", "1772366399", "1772366401", "2026-03-01", "2026-03-01T00:00:00Z",
		"2026-03-01T12:00:00", "2026-3-1t12", "2026-03", "2026-03-02", "02026-03",
		"2026-01-01", "2026T", "2026", "1970-01-01T00:33:46Z", "2000-02-29",
		"0", "-1", "-0004-02-29", "1970-01-01", "9223372036854775807", "292278993-12-31",
	}
	noDates = []string{
		"2026-02-30T00:00:00Z", "1900-02-29", "2026-13-01", "2026-03-01T24:00:00Z", "2026-03-01TZ", "2026-03-01T12:00:00+24:00",
		"2026-03-01T12:00:00.0000000001Z", "2026-03-01T*", "9223372036854775808", "1772366400.5", "yesterday", "",
	}
)

var pools = map[valueKind]pool{
	stringKind: {
		request: []string{"red", "Red", "blue", "prod", "prod/db", "r*d", "a?c", "abc", "alice", "bob", "${$}", "é", "É", "30", "true", ""},
		policy:  []string{"r*", "R*", "r?d", "*", "?", "??", "*o*", "p*d*", "${*}", "r${*}d", "a${?}c", "${$}{$}", "*d", "?*", "", "red", "prod", "${aws:PrincipalTag/none}", "*${aws:PrincipalTag/none}"},
	},
	numericKind: {
		request: []string{"-1", "-0.5", "0", "0.0", "7", "29.999999999999999999", "30", "30.0", "030", "30.000000000000000001", "31", "9007199254740992", "9007199254740993", "thirty", "", "+30", ".5", "0.50", "5.", "5", "3e1", "-", "."},
		policy:  []string{"30", "30.5", "7.0", "-2", "-.5", "1000000000000000000000", "3*", "0x1e", "3E1", "300e-1"},
	},
	dateKind: {
		request: slices.Concat(dates, noDates),
		policy:  dates,
	},
	boolKind: {
		request: []string{"true", "false", "True", "FALSE", "yes", ""},
		policy:  []string{"TRUE", "False", "1", "${aws:SecureTransport}"},
	},
	ipKind: {
		request: []string{
			"203.0.113.0", "203.0.113.6", "203.0.113.7", "203.0.113.255", "203.0.112.255", "203.0.114.0", "10.0.0.1",
			"2001:db8:1234::1", "2001:db8:1234:ffff::", "2001:db8:1235::", "2001:0DB8:1234:0::1", "not-an-address", "203.0.113.256", "",
			"::ffff:203.0.113.7", "::FFFF:cb00:7107", "::ffff:10.0.0.1", "2001:db8:1234::1%eth0", "203.0.113.0/24",
		},
		policy: []string{
			"203.0.113.0/24", "203.0.113.77/24", "203.0.112.0/23", "203.0.113.0/32", "203.0.113.0/25", "203.0.113.0/33", "0.0.0.0/0", "::/0",
			"2001:db8:1234::/48", "2001:db8:1234::/47", "2001:db8:1234::1/128", "10.0.0.0/8", "10.0.0.0/-1", "203.0.113.*",
			"::ffff:203.0.113.0/120", "::ffff:0.0.0.0/96", "::ffff:0.0.0.0/95", "203.0.113.7%eth0",
		},
	},
	arnKind: {
		request: []string{
			"arn:aws:iam::111122223333:role/app", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::444455556666:role/ops/deploy",
			"arn:aws:sns:us-east-1:111122223333:topic/red", "arn:aws:sns:us-east-1:444455556666:a:111122223333:topic/red",
			"arn:aws:s3:::bucket", "arn:aws:s3::bucket", "arn:aws:s3", "arn", "",
		},
		policy: []string{
			"arn:aws:iam::111122223333:*", "arn:aws:iam::*:role/*", "arn:aws:*:*:1111????3333:*", "*:*:*:*:*:*", "arn:aws:sns:*:topic/red",
			"arn:aws:sns:*:111122223333:topic/*", "arn:*", "arn:aws:iam::${aws:PrincipalAccount}:role/*", "${aws:SourceArn}", "arn:aws:iam::111122223333:role/${aws:PrincipalTag/team, 'app'}",
			"arn:aws:iam::111122223333:role/${*}", "arn:aws:s3:::buck??",
			"*", "arn:aws:sns:*", "arn:aws:iam", "arn:aws:s3", "arn:aws:iam::444455556666", "arn:aws:${aws:PrincipalTag/team}:*",
		},
	},
	binaryKind: {
		request: []string{"QUI=", "QUM=", "QQ==", "QR==", "QUJ=", "QQ", "", "!!!!"},
		policy:  []string{"QUJD", "QV=="},
	},
}

// contextKey is one key of the vocabulary.
type contextKey struct {
	name        string
	kind        valueKind
	multivalued bool
}

var contextKeys = []contextKey{
	{"aws:ResourceTag/team", stringKind, false},
	{"aws:RequestTag/env", stringKind, false},
	{"secretsmanager:VersionStage", stringKind, false},
	{"aws:TagKeys", stringKind, true},
	{"aws:CalledVia", stringKind, true},
	{"secretsmanager:RecoveryWindowInDays", numericKind, false},
	{"svc:Numbers", numericKind, true},
	{"aws:CurrentTime", dateKind, false},
	{"svc:Times", dateKind, true},
	{"aws:SecureTransport", boolKind, false},
	{"aws:MultiFactorAuthPresent", boolKind, false},
	{"svc:Switches", boolKind, true},
	{"aws:SourceIp", ipKind, false},
	{"svc:Addresses", ipKind, true},
	{"aws:SourceArn", arnKind, false},
	{"svc:Arns", arnKind, true},
	{"svc:Blob", binaryKind, false},
	{"svc:Blobs", binaryKind, true},
}

// operator is a condition operator and the kind of key it is meant for.
type operator struct {
	name string
	kind valueKind
}

var operators = []operator{
	{"StringEquals", stringKind}, {"StringNotEquals", stringKind},
	{"StringEqualsIgnoreCase", stringKind}, {"StringNotEqualsIgnoreCase", stringKind},
	{"StringLike", stringKind}, {"StringNotLike", stringKind},
	{"NumericEquals", numericKind}, {"NumericNotEquals", numericKind},
	{"NumericLessThan", numericKind}, {"NumericLessThanEquals", numericKind},
	{"NumericGreaterThan", numericKind}, {"NumericGreaterThanEquals", numericKind},
	{"DateEquals", dateKind}, {"DateNotEquals", dateKind},
	{"DateLessThan", dateKind}, {"DateLessThanEquals", dateKind},
	{"DateGreaterThan", dateKind}, {"DateGreaterThanEquals", dateKind},
	{"Bool", boolKind}, {"BinaryEquals", binaryKind},
	{"IpAddress", ipKind}, {"NotIpAddress", ipKind},
	{"ArnEquals", arnKind}, {"ArnLike", arnKind}, {"ArnNotEquals", arnKind}, {"ArnNotLike", arnKind},
	{"Null", boolKind},
}
