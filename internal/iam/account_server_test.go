package iam_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

func TestAccountAlias(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		list := func(c *sdk.Client) []string {
			return must(c.ListAccountAliases(t.Context(), nil))(t).AccountAliases
		}
		create := func(c *sdk.Client, alias string) error {
			_, err := c.CreateAccountAlias(t.Context(), &sdk.CreateAccountAliasInput{AccountAlias: &alias})
			return err
		}
		remove := func(alias string) error {
			_, err := b.admin.DeleteAccountAlias(t.Context(), &sdk.DeleteAccountAliasInput{AccountAlias: &alias})
			return err
		}
		if got := list(b.admin); len(got) != 0 {
			t.Errorf("at first %v", got)
		}
		ok(t, create(b.admin, "first-name"))
		ok(t, create(b.admin, "a1b"))
		if got := list(b.admin); !slices.Equal(got, []string{"a1b"}) {
			t.Errorf("then %v", got)
		}
		b.want(t, "CreateAccountAlias", create(b.admin, "a1b"), 409, "EntityAlreadyExists", "The account alias a1b already exists.")
		other := b.as(b.Account(t, "444455556666"))
		b.want(t, "CreateAccountAlias", create(other, "a1b"), 409, "EntityAlreadyExists", "The account alias a1b already exists.")
		ok(t, create(other, "first-name"))
		for _, alias := range []string{"first-name", "no-such-one"} { // another account's, nobody's
			b.want(t, "DeleteAccountAlias", remove(alias), 404, "NoSuchEntity", "The account alias "+alias+" cannot be found.")
		}
		ok(t, remove("a1b"))
		if got := list(b.admin); len(got) != 0 {
			t.Errorf("at last %v", got)
		}
		for _, bad := range []string{"ab", strings.Repeat("a", 64), "-ab", "ab-", "a--b", "aBc", "a_b", "a.b"} {
			if err := create(b.admin, bad); err == nil || !strings.Contains(err.Error(), "ValidationError") || !strings.Contains(err.Error(), "'accountAlias'") {
				t.Errorf("%s: %v", bad, err)
			}
		}
		for _, good := range []string{"a-b", "1-2-3-4", strings.Repeat("a", 63)} {
			ok(t, create(b.admin, good))
		}
		_, err := b.admin.ListAccountAliases(t.Context(), &sdk.ListAccountAliasesInput{Marker: str("!")})
		b.want(t, "ListAccountAliases", err, 400, "ValidationError", "Invalid Marker.")
	})
}

func TestAccountDenials(t *testing.T) {
	t.Parallel()
	b := start(t)
	stranger := b.as(b.User(t, "stranger", ""))
	alias := str("an-alias")
	for op, call := range map[string]func() error{
		"CreateAccountAlias": func() error {
			_, err := stranger.CreateAccountAlias(t.Context(), &sdk.CreateAccountAliasInput{AccountAlias: alias})
			return err
		},
		"DeleteAccountAlias": func() error {
			_, err := stranger.DeleteAccountAlias(t.Context(), &sdk.DeleteAccountAliasInput{AccountAlias: alias})
			return err
		},
		"ListAccountAliases":       func() error { _, err := stranger.ListAccountAliases(t.Context(), nil); return err },
		"GetAccountSummary":        func() error { _, err := stranger.GetAccountSummary(t.Context(), nil); return err },
		"GenerateCredentialReport": func() error { _, err := stranger.GenerateCredentialReport(t.Context(), nil); return err },
		"GetCredentialReport":      func() error { _, err := stranger.GetCredentialReport(t.Context(), nil); return err },
	} {
		b.want(t, op, call(), 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/stranger is not authorized to perform: iam:"+op+
			" on resource: * because no identity-based policy allows the iam:"+op+" action")
	}
}

// The summary follows what is made, one by one.
func TestAccountSummary(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		b.Account(t, "444455556666") // whose users do not count
		before := must(b.admin.GetAccountSummary(t.Context(), nil))(t).SummaryMap
		for key, want := range map[types.SummaryKeyType]int32{
			types.SummaryKeyTypeUsers: 1, types.SummaryKeyTypeGroups: 0, types.SummaryKeyTypeRoles: 0, types.SummaryKeyTypePolicies: 0, types.SummaryKeyTypeMFADevices: 0,
			types.SummaryKeyTypeUsersQuota: 5000, types.SummaryKeyTypeGroupsQuota: 300, types.SummaryKeyTypeRolesQuota: 1000, types.SummaryKeyTypePoliciesQuota: 1500,
			types.SummaryKeyTypeUserPolicySizeQuota: 2048, types.SummaryKeyTypeGroupPolicySizeQuota: 5120, types.SummaryKeyTypeAccessKeysPerUserQuota: 2,
			types.SummaryKeyTypeGroupsPerUserQuota: 10, types.SummaryKeyTypeAttachedPoliciesPerUserQuota: 10, types.SummaryKeyTypeVersionsPerPolicyQuota: 5,
			types.SummaryKeyTypeAccountMFAEnabled: 0, types.SummaryKeyTypeAccountAccessKeysPresent: 0, types.SummaryKeyTypeServerCertificatesQuota: 0,
			"RolePolicySizeQuota": 10240, "InstanceProfiles": 0, "Providers": 0,
		} {
			if got, ok := before[string(key)]; got != want || !ok {
				t.Errorf("%s is %d, want %d", key, got, want)
			}
		}
		if len(before) != 34 {
			t.Errorf("%d numbers", len(before))
		}
		b.createUser("bob", "")
		b.createGroup(t, "readers", "")
		b.createRole(t, "app")
		b.createPolicy(t, "p", servertest.Allow("*", "kms:*"))
		b.device(t, "spare")
		ok(t, b.enable(t, "bob", b.device(t, "phone"), time.Now()))
		b.RootCredentials(t, servertest.Account)
		after := must(b.admin.GetAccountSummary(t.Context(), nil))(t).SummaryMap
		grown := map[string]int32{"Users": 1, "Groups": 1, "Roles": 1, "Policies": 1, "PolicyVersionsInUse": 1, "MFADevices": 2, "MFADevicesInUse": 1, "AccountAccessKeysPresent": 1}
		for key, n := range after {
			if n-before[key] != grown[key] {
				t.Errorf("%s went from %d to %d", key, before[key], n)
			}
		}
	})
}

func TestCredentialReport(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			b := start(t, append(options, servertest.ManualJobs(), servertest.Now(c.now))...)
			get := func() (*sdk.GetCredentialReportOutput, error) { return b.admin.GetCredentialReport(t.Context(), nil) }
			generate := func() *sdk.GenerateCredentialReportOutput {
				return must(b.admin.GenerateCredentialReport(t.Context(), nil))(t)
			}
			_, err := get()
			b.want(t, "GetCredentialReport", err, 410, "ReportNotPresent", "")
			key := b.User(t, "Bob,x", servertest.Allow("*", "iam:GetUser"))
			made := c.now()
			must(b.admin.UpdateAccountPasswordPolicy(t.Context(), &sdk.UpdateAccountPasswordPolicyInput{MaxPasswordAge: new(int32(90))}))(t)
			ok(t, b.login("bob,x", "first Password 1"))
			ok(t, b.enable(t, "bob,x", b.device(t, "phone"), c.now()))
			must(b.as(key).GetUser(t.Context(), nil))(t)
			c.move(time.Second)
			second := must(b.admin.CreateAccessKey(t.Context(), &sdk.CreateAccessKeyInput{UserName: str("bob,x")}))(t).AccessKey
			must(b.admin.UpdateAccessKey(t.Context(), &sdk.UpdateAccessKeyInput{UserName: str("bob,x"), AccessKeyId: second.AccessKeyId, Status: types.StatusTypeInactive}))(t)

			if g := generate(); g.State != types.ReportStateTypeStarted || g.Description == nil || *g.Description != "No report exists. Starting a new report generation task" {
				t.Errorf("%s %v", g.State, g.Description)
			}
			if g := generate(); g.State != types.ReportStateTypeInprogress || g.Description != nil {
				t.Errorf("%s %v", g.State, g.Description)
			}
			_, err = get()
			b.want(t, "GetCredentialReport", err, 404, "ReportInProgress", "")
			ok(t, b.Server.Server().RunJobsOnce(t.Context()))
			if g := generate(); g.State != types.ReportStateTypeComplete || g.Description != nil {
				t.Errorf("%s %v", g.State, g.Description)
			}
			r := must(get())(t)
			if r.ReportFormat != types.ReportFormatTypeTextCsv || r.GeneratedTime.Sub(c.now()).Abs() > 2*time.Second {
				t.Errorf("%s of %v", r.ReportFormat, r.GeneratedTime)
			}
			rows := must(csv.NewReader(strings.NewReader(string(r.Content))).ReadAll())(t)
			if len(rows) != 4 || len(rows[0]) != 22 || rows[0][0] != "user" || rows[0][21] != "cert_2_last_rotated" {
				t.Fatalf("%v", rows)
			}
			at := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }
			want := map[string][]string{
				"<root_account>": {"arn:aws:iam::111122223333:root", "*", "not_supported", "no_information", "not_supported", "not_supported", "false",
					"false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "false", "N/A"},
				"admin": {"arn:aws:iam::111122223333:user/admin", "*", "false", "N/A", "N/A", "N/A", "false",
					"true", "*", at(made), "us-east-1", "iam", "false", "N/A", "N/A", "N/A", "N/A", "false", "N/A", "false", "N/A"},
				"Bob,x": {"arn:aws:iam::111122223333:user/Bob,x", at(made), "true", "no_information", at(made), at(made.AddDate(0, 0, 90)), "true",
					"true", at(made), at(made), "us-east-1", "iam", "false", at(c.now()), "N/A", "N/A", "N/A", "false", "N/A", "false", "N/A"},
			}
			for _, row := range rows[1:] {
				for i, cell := range want[row[0]] {
					if cell != "*" && row[i+1] != cell {
						t.Errorf("%s of %s is %s, want %s", rows[0][i+1], row[0], row[i+1], cell)
					}
				}
				delete(want, row[0])
			}
			if len(want) > 0 {
				t.Errorf("missing: %v", want)
			}
			// A report is good for four hours.
			c.move(4*time.Hour - time.Minute)
			must(b.at(c).GetCredentialReport(t.Context(), nil))(t)
			c.move(time.Minute)
			_, err = b.at(c).GetCredentialReport(t.Context(), nil)
			b.want(t, "GetCredentialReport", err, 410, "ReportExpired", "")
			g := must(b.at(c).GenerateCredentialReport(t.Context(), nil))(t)
			if g.State != types.ReportStateTypeStarted || g.Description != nil {
				t.Errorf("%s %v", g.State, g.Description)
			}
			ok(t, b.Server.Server().RunJobsOnce(t.Context()))
			if again := must(b.at(c).GetCredentialReport(t.Context(), nil))(t); !again.GeneratedTime.After(*r.GeneratedTime) {
				t.Error(fmt.Sprint("the old report of ", again.GeneratedTime))
			}
		})
	}
}

// at is the administrator's client for a server whose clock is far ahead.
func (b *bench) at(c *clock) *sdk.Client {
	return sdk.NewFromConfig(b.AWS(b.Admin, ""), func(o *sdk.Options) { o.HTTPSignerV4 = timedSigner{v4.NewSigner(), c} })
}

type timedSigner struct {
	*v4.Signer
	clock *clock
}

func (s timedSigner) SignHTTP(ctx context.Context, creds aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, o ...func(*v4.SignerOptions)) error {
	return s.Signer.SignHTTP(ctx, creds, r, hash, service, region, s.clock.now(), o...)
}
