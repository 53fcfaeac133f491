package auth_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

const account = "111122223333"

// directory is a fixed set of identities, by access key id.
type directory struct {
	identities map[string]*auth.Identity
	loads      int
}

func (d *directory) Identity(_ context.Context, keyID string) (*auth.Identity, error) {
	d.loads++
	if id := d.identities[keyID]; id != nil {
		return id, nil
	}
	return nil, auth.ErrUnknownKey
}

func (d *directory) Entity(_ context.Context, account, id string) (*auth.Identity, error) {
	d.loads++
	for _, i := range d.identities {
		if i.Principal.Account == account && i.Principal.UserID == id {
			return i, nil
		}
	}
	return nil, auth.ErrUnknownKey
}

func (d *directory) ManagedPolicy(context.Context, string, string, string) (policy.Source, error) {
	return policy.Source{}, auth.ErrUnknownKey
}

// generation is the same for all accounts.
type generation struct{ n int64 }

func (g *generation) Generation(context.Context, string, string, string) (int64, error) {
	return g.n, nil
}

var services = map[string]*wire.Service{
	"secretsmanager": {Name: "secretsmanager", Protocol: wire.JSON11, ClockSkew: 5 * time.Minute},
	"kms":            {Name: "kms", Protocol: wire.JSON11, ClockSkew: 5 * time.Minute},
	"iam":            {Name: "iam", Protocol: wire.Query, ClockSkew: 15 * time.Minute},
	"sts":            {Name: "sts", Protocol: wire.Query, ClockSkew: 15 * time.Minute},
}

// user makes an identity with one inline policy ("" = none).
func user(tb testing.TB, name, text string) *auth.Identity {
	tb.Helper()
	keyID, err := aws.NewAccessKeyID(aws.LongTermKeyPrefix, account)
	if err != nil {
		tb.Fatal(err)
	}
	id := &auth.Identity{Secret: aws.NewSecretKey(), Principal: &aws.Principal{
		Type: aws.PrincipalUser, Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name,
		UserID: aws.NewUniqueID("AIDA"), UserName: name, AccessKeyID: keyID,
	}}
	if text != "" {
		doc, err := policy.Parse([]byte(text))
		if err != nil {
			tb.Fatal(err)
		}
		id.Policies.Identity = []policy.Source{{ID: "inline/" + name + "/test", Version: "1", Doc: doc}}
	}
	return id
}

func call(service string, p *aws.Principal) *wire.Call {
	return &wire.Call{
		Service: services[service], Region: "us-east-1", Principal: p, Source: netip.MustParseAddr("192.0.2.10"),
		UserAgent: "aws-cli/2.27", TLS: wire.TLS{Version: "TLSv1.3"},
	}
}

func service(d *directory, g *generation, now func() time.Time) *auth.Service {
	return auth.New(auth.Config{Directory: d, Generations: g, Regions: []string{"us-east-1", "eu-west-1"}, Now: now})
}

// BenchmarkAuthorize decides what a GetSecretValue asks: the secret, and the
// managed key behind it.
func BenchmarkAuthorize(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"plain", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*"}]}`},
		{"conditions", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*","Condition":{
			"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"Bool":{"aws:SecureTransport":"true"},"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}}]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			id := user(b, "app", c.text)
			s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
			const secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-AbCdEf"
			tags := []aws.Tag{{Key: "team", Value: "blue"}, {Key: "stage", Value: "prod"}}
			keys := []auth.Key{{Name: "secretsmanager:SecretId", Values: []string{secret}}, {Name: "secretsmanager:VersionStage", Values: []string{"AWSCURRENT"}}}
			b.ReportAllocs()
			for b.Loop() {
				w := call("secretsmanager", id.Principal)
				if err := s.Authorize(wire.NewContext(b.Context(), w), &auth.Request{
					Action: "secretsmanager:GetSecretValue", Resource: secret, Shown: "db/app", Account: account, Keys: keys, Tags: tags,
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAuthorizeParallel is the same from all processors, for contention.
func BenchmarkAuthorizeParallel(b *testing.B) {
	id := user(b, "app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)
	s := service(&directory{identities: map[string]*auth.Identity{id.Principal.AccessKeyID: id}}, &generation{1}, time.Now)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			w := call("secretsmanager", id.Principal)
			if err := s.Authorize(wire.NewContext(b.Context(), w), &auth.Request{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:us-east-1:111122223333:secret:a", Account: account}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func (g *generation) Known(ctx context.Context, account, region, kind string) (int64, bool) {
	v, err := g.Generation(ctx, account, region, kind)
	return v, err == nil
}
