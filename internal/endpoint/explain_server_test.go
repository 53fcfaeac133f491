package endpoint_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// A denial by an endpoint's policy is explained to the account that has the
// endpoint; others are told that there was one. The operator is told everything.
func TestDenialByTheEndpoint(t *testing.T) {
	t.Parallel()
	policy := file(t, "policy.json", `{"Version":"2012-10-17","Statement":[
		{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:user/theirs"},"Action":"*","Resource":"*"}]}`)
	s := servertest.Start(t, network(func(n *config.Network) {
		own := vpc(vpcB)
		own.Account = servertest.Account
		n.VPCs = []config.VPC{vpc(vpcA), own} // A belongs to another account.
		a, b := private(idA, vpcA), private(idB, vpcB)
		a.PolicyFile, b.PolicyFile = policy, policy
		n.Endpoints = []config.Endpoint{a, b}
	}))
	secret(t, s, "db")
	user := s.User(t, "app", servertest.Allow("*", "secretsmanager:*"))
	for id, theirs := range map[string]bool{idA: true, idB: false} {
		c := sdk(s, user, client(t, s, to(address(t, s, id), ""), "secretsmanager.us-east-1.amazonaws.com"))
		_, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db")})
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) {
			t.Fatalf("%s: %v", id, err)
		}
		request := answer.ServiceRequestID()
		out, err := s.STS(s.Admin).DecodeAuthorizationMessage(t.Context(), &sts.DecodeAuthorizationMessageInput{EncodedMessage: &request})
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		told := *out.DecodedMessage
		if !strings.Contains(told, "because no VPC endpoint policy allows the secretsmanager:GetSecretValue action") || !strings.Contains(told, id) ||
			strings.Contains(told, "Theirs") == theirs || strings.Contains(told, "ask the owner of the endpoint") != theirs {
			t.Errorf("%s: told is %s", id, told)
		}
		found, err := s.Server().Denials(t.Context(), request)
		if err != nil || len(found) != 1 || !strings.Contains(found[0].Text(found[0].Explanation), `statement 1 "Theirs" (Allow)`) {
			t.Errorf("%s: operator finds %v, %v", id, found, err)
		}
	}
}
