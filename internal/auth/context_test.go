package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// Every global condition key says what is true of the call, or nothing (spec
// iam-policy-evaluation.md 6).
func TestConditionKeys(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	plain := func(c *wire.Call) { c.TLS = wire.TLS{} }
	via := func(c *wire.Call) {
		parent := *c
		c.Parent, c.Via = &parent, "secretsmanager.amazonaws.com"
	}
	twice := func(c *wire.Call) {
		via(c)
		parent := *c
		c.Parent, c.Via = &parent, "ssm.amazonaws.com"
	}
	behalf := func(c *wire.Call) {
		c.BehalfOf = wire.Resource{ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:s-AbCdEf", Account: "111122223333"}
	}
	session := func(c *wire.Call) {
		p := *c.Principal
		p.Session = &aws.Session{
			Type: aws.PrincipalUser, Account: p.Account, EntityID: p.UserID, Issued: now.Add(-time.Hour), MFA: true, MFAAt: now.Add(-90 * time.Second),
			SourceIdentity: "alice", Provider: "arn:aws:iam::111122223333:oidc-provider/id.example",
		}
		c.Principal = &p
	}
	for _, c := range []struct {
		name      string
		service   string
		change    func(*wire.Call)
		condition string
		allowed   bool
	}{
		{"address", "kms", nil, `"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, true},
		{"other address", "kms", nil, `"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}`, false},
		{"address of IPv6", "kms", func(c *wire.Call) { c.Source = netip.MustParseAddr("2001:db8::1") }, `"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`, true},
		{"no address", "kms", func(c *wire.Call) { c.Source = netip.Addr{} }, `"Null":{"aws:SourceIp":"true"}`, true},
		{"TLS", "kms", nil, `"Bool":{"aws:SecureTransport":"true"}`, true},
		{"no TLS", "kms", plain, `"Bool":{"aws:SecureTransport":"false"}`, true},
		{"time", "kms", nil, `"DateEquals":{"aws:CurrentTime":"2026-03-10T12:00:00Z"}`, true},
		{"later", "kms", nil, `"DateLessThan":{"aws:CurrentTime":"2026-03-10T12:00:00Z"}`, false},
		{"epoch", "kms", nil, `"NumericEquals":{"aws:EpochTime":"1773144000"}`, true},
		{"region", "kms", func(c *wire.Call) { c.Region = "eu-west-1" }, `"StringEquals":{"aws:RequestedRegion":"eu-west-1"}`, true},
		{"region of IAM", "iam", func(c *wire.Call) { c.Region = "eu-west-1" }, `"StringEquals":{"aws:RequestedRegion":"us-east-1"}`, true},
		{"user agent", "kms", nil, `"StringLike":{"aws:UserAgent":"aws-cli/*"}`, true},
		{"no user agent", "kms", func(c *wire.Call) { c.UserAgent = "" }, `"Null":{"aws:UserAgent":"true"}`, true},
		{"direct call", "kms", nil, `"Bool":{"aws:ViaAWSService":"false"},"Null":{"aws:CalledVia":"true","aws:CalledViaFirst":"true","aws:CalledViaLast":"true"}`, true},
		{"call by a service", "kms", via, `"Bool":{"aws:ViaAWSService":"true"},"ForAnyValue:StringEquals":{"aws:CalledVia":"secretsmanager.amazonaws.com"}`, true},
		{"first and last of one", "kms", via, `"StringEquals":{"aws:CalledViaFirst":"secretsmanager.amazonaws.com","aws:CalledViaLast":"secretsmanager.amazonaws.com"}`, true},
		{"first and last of two", "kms", twice, `"StringEquals":{"aws:CalledViaFirst":"secretsmanager.amazonaws.com","aws:CalledViaLast":"ssm.amazonaws.com"},"ForAllValues:StringEquals":{"aws:CalledVia":["secretsmanager.amazonaws.com","ssm.amazonaws.com"]}`, true},
		{"principal's ARN", "kms", nil, `"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/bob"}`, true},
		{"principal's account and type", "kms", nil, `"StringEquals":{"aws:PrincipalAccount":"111122223333","aws:PrincipalType":"User","aws:username":"bob"}`, true},
		{"principal's id", "kms", nil, `"StringLike":{"aws:userid":"AIDA*"}`, true},
		{"principal's tag", "kms", nil, `"StringEquals":{"aws:PrincipalTag/team":"blue"}`, true},
		{"principal's tag that is not", "kms", nil, `"Null":{"aws:PrincipalTag/other":"true"}`, true},
		{"not a service", "kms", nil, `"Bool":{"aws:PrincipalIsAWSService":"false"}`, true},
		{"long-term key has no session", "kms", nil, `"Null":{"aws:TokenIssueTime":"true","aws:MultiFactorAuthPresent":"true","aws:MultiFactorAuthAge":"true"}`, true},
		{"session", "kms", session, `"Bool":{"aws:MultiFactorAuthPresent":"true"},"DateEquals":{"aws:TokenIssueTime":"2026-03-10T11:00:00Z"}`, true},
		{"age of the second factor", "kms", session, `"NumericEquals":{"aws:MultiFactorAuthAge":"90"}`, true},
		{"source identity and provider", "kms", session, `"StringEquals":{"aws:SourceIdentity":"alice","aws:FederatedProvider":"arn:aws:iam::111122223333:oidc-provider/id.example"}`, true},
		{"no referer sent", "kms", nil, `"Null":{"aws:referer":"true"}`, true},
		{"referer", "kms", func(c *wire.Call) { c.Referer = "https://example.com/a" }, `"StringLike":{"aws:referer":"https://example.com/*"}`, true},
		{"no service, whatever it is called for", "kms", behalf, `"Bool":{"aws:PrincipalIsAWSService":"false"},"Null":{"aws:SourceArn":"true","aws:SourceAccount":"true","aws:SourceOwner":"true","aws:PrincipalServiceName":"true","aws:PrincipalServiceNamesList":"true"}`, true},
		{"nothing that nobody said", "kms", nil, `"Null":{"aws:SourceArn":"true","aws:SourceAccount":"true","aws:SourceVpc":"true","aws:PrincipalOrgID":"true"}`, true},
		{"owner of the resource", "kms", nil, `"StringEquals":{"aws:ResourceAccount":"444455556666"}`, true},
		{"key of the slice", "kms", nil, `"StringEquals":{"kms:RequestAlias":"alias/b"}`, true},
		{"of two the last one", "kms", nil, `"StringEquals":{"kms:RequestAlias":"alias/a"}`, false},
		{"key of many values", "kms", nil, `"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/2"}`, true},
		{"key of no value", "kms", nil, `"Null":{"kms:ViaService":"true","kms:Nothing":"true"}`, true},
		{"tag of the resource", "kms", nil, `"StringEquals":{"aws:ResourceTag/Stage":"prod","aws:resourcetag/STAGE":"prod"}`, true},
		{"tag it does not have", "kms", nil, `"Null":{"aws:ResourceTag/other":"true"}`, true},
		{"no second name in KMS", "kms", nil, `"Null":{"kms:ResourceTag/Stage":"true","secretsmanager:ResourceTag/Stage":"true"}`, true},
		{"second name in Secrets Manager", "secretsmanager", nil, `"StringEquals":{"secretsmanager:ResourceTag/stage":"prod"}`, true},
		{"second name in IAM", "iam", nil, `"StringEquals":{"iam:ResourceTag/stage":"prod"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := user(t, "bob", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{`+c.condition+`}}]}`)
			id.Principal.Tags = []aws.Tag{{Key: "Team", Value: "blue"}}
			d := &directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}
			s := service(d, &generation{1}, func() time.Time { return now })
			w := call(c.service, id.Principal)
			if c.change != nil {
				c.change(w)
			}
			// The owner consents to everything, so that the condition decides.
			got, err := s.Would(wire.NewContext(t.Context(), w), &auth.Request{
				Action: c.service + ":Op", Resource: "arn:aws:x:us-east-1:444455556666:y", Account: "444455556666", Policy: consent(t),
				Tags: []aws.Tag{{Key: "Stage", Value: "prod"}},
				Keys: []auth.Key{
					{Name: "kms:RequestAlias", Values: []string{"alias/a"}}, {Name: "KMS:RequestAlias", Values: []string{"alias/b"}},
					{Name: "kms:ResourceAliases", Values: []string{"alias/1", "alias/2"}, Multi: true}, {Name: "kms:ViaService"}, {Name: "kms:Nothing", Multi: true},
				},
			})
			if err != nil || got != c.allowed {
				t.Errorf("allowed %v, %v; want %v", got, err, c.allowed)
			}
			if len(w.Decisions) != 0 {
				t.Error("a question left a decision behind")
			}
		})
	}
}

// A service that acts by itself is known by its name and by the resource for whose
// sake it does so, and is a principal of no account.
func TestConditionKeysOfServices(t *testing.T) {
	for _, c := range []struct {
		name, principal, condition string
		allowed                    bool
	}{
		{"service", `{"Service":"secretsmanager.amazonaws.com"}`, `"Bool":{"aws:PrincipalIsAWSService":"true"}`, true},
		{"other service", `{"Service":"lambda.amazonaws.com"}`, ``, false},
		{"everybody", `"*"`, ``, true},
		{"the account that it works in", `{"AWS":"111122223333"}`, ``, false},
		{"name", `"*"`, `"StringEquals":{"aws:PrincipalServiceName":"secretsmanager.amazonaws.com"},"ForAnyValue:StringEquals":{"aws:PrincipalServiceNamesList":"secretsmanager.amazonaws.com"}`, true},
		{"resource", `{"Service":"secretsmanager.amazonaws.com"}`, `"ArnLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:111122223333:secret:s-*"},"StringEquals":{"aws:SourceAccount":"111122223333","aws:SourceOwner":"111122223333"}`, true},
		{"resource of another", `{"Service":"secretsmanager.amazonaws.com"}`, `"StringEquals":{"aws:SourceAccount":"444455556666"}`, false},
		{"nothing of a user", `{"Service":"secretsmanager.amazonaws.com"}`, `"Null":{"aws:PrincipalAccount":"true","aws:PrincipalArn":"true","aws:PrincipalType":"true","aws:userid":"true","aws:username":"true","aws:TokenIssueTime":"true","aws:MultiFactorAuthPresent":"true"}`, true},
		{"owner of the resource", `{"Service":"secretsmanager.amazonaws.com"}`, `"StringEquals":{"aws:ResourceAccount":"444455556666"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition := ""
			if c.condition != "" {
				condition = `,"Condition":{` + c.condition + `}`
			}
			doc, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + c.principal + `,"Action":"*","Resource":"*"` + condition + `}]}`))
			if err != nil {
				t.Fatal(err)
			}
			w := call("kms", &aws.Principal{Type: aws.PrincipalService, Account: "111122223333", Service: "secretsmanager.amazonaws.com"})
			w.BehalfOf = wire.Resource{ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:s-AbCdEf", Account: "111122223333"}
			s := service(&directory{}, &generation{1}, time.Now)
			got, err := s.Would(wire.NewContext(t.Context(), w), &auth.Request{
				Action: "kms:Decrypt", Resource: "arn:aws:kms:us-east-1:444455556666:key/k", Account: "444455556666", Policy: &policy.Source{ID: "key", Doc: doc},
			})
			if err != nil || got != c.allowed {
				t.Errorf("allowed %v, %v; want %v", got, err, c.allowed)
			}
		})
	}
}
