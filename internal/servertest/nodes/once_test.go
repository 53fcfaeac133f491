package nodes

import (
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/servertest"
)

// atOnce calls do several times at each node at the same moment and counts the
// codes of its errors, "" for none.
func atOnce(nodes [2]*node, each int, do func(n *node, i int) error) map[string]int {
	codes := make(map[string]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for k, n := range nodes {
		for i := range each {
			wg.Go(func() {
				<-begin
				err := do(n, k*each+i)
				code := codeOf(err)
				if err != nil && code == "" {
					code = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
	}
	close(begin)
	wg.Wait()
	return codes
}

// A request that is sent to both nodes at once, as a client does whose first
// attempt went unanswered, is applied once and answered alike; different values
// under one token are one value.
func TestSameTokenAtBothNodes(t *testing.T) {
	nodes := pair(t)
	const each = 4
	versions := func(id string) []string {
		var all []string
		out, err := nodes[0].Secrets().ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: new(true)})
		check(t, err)
		for _, v := range out.Versions {
			all = append(all, *v.VersionId)
		}
		slices.Sort(all)
		return all
	}
	want := func(what string, got, want map[string]int) {
		t.Helper()
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	for round := range 5 {
		id := fmt.Sprint("s", round)
		token := func(what string) *string { return new(fmt.Sprintf("%s-%d-%s", what, round, strings.Repeat("x", 32))) }
		create := func(value string) func(n *node, i int) error {
			return func(n *node, _ int) error {
				_, err := n.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &id, SecretString: &value, ClientRequestToken: token("create")})
				return err
			}
		}
		want("create", atOnce(nodes, each, create("v")), map[string]int{"": 2 * each})
		put := func(what string, value func(i int) string) func(n *node, i int) error {
			return func(n *node, i int) error {
				_, err := n.Secrets().PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: new(value(i)), ClientRequestToken: token(what)})
				return err
			}
		}
		want("the same value", atOnce(nodes, each, put("same", func(int) string { return "same" })), map[string]int{"": 2 * each})
		want("different values", atOnce(nodes, each, put("contested", func(i int) string { return fmt.Sprint(i) })),
			map[string]int{"": 1, "ResourceExistsException": 2*each - 1})
		if got := versions(id); !slices.Equal(got, []string{*token("contested"), *token("create"), *token("same")}) {
			t.Errorf("versions %v", got)
		}
	}
}

// A code of an authenticator app is good once, whichever nodes it is sent to.
func TestSameCodeAtBothNodes(t *testing.T) {
	nodes := pair(t)
	user := nodes[0].User(t, "eve", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	ours := nodes[0].IAM()
	device, err := ours.CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone")})
	check(t, err)
	serial := device.VirtualMFADevice.SerialNumber
	seed, err := base32.StdEncoding.DecodeString(string(device.VirtualMFADevice.Base32StringSeed))
	check(t, err)
	now := time.Now()
	_, err = ours.EnableMFADevice(t.Context(), &iam.EnableMFADeviceInput{UserName: new("eve"), SerialNumber: serial,
		AuthenticationCode1: aws.String(servertest.TOTP(seed, now.Add(-30*time.Second))), AuthenticationCode2: aws.String(servertest.TOTP(seed, now))})
	check(t, err)
	code := servertest.TOTP(seed, now.Add(30*time.Second)) // The first that was not used.
	got := atOnce(nodes, 2, func(n *node, _ int) error {
		_, err := n.STS(user).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: serial, TokenCode: &code})
		return err
	})
	if got[""] != 1 || got[accessDenied]+got["AccessDenied"] != 3 {
		t.Errorf("one code at both nodes: %v", got)
	}
}
