package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	rolePolicies   = 10
	roleStatements = 20
)

// makeRole returns a session of a role with ten attached policies of twenty
// statements each, one of which lets it read.
func (t *target) makeRole(ctx context.Context) (session, error) {
	config := aws.Config{
		Region: region, BaseEndpoint: aws.String("https://" + t.address), Credentials: credentials.NewStaticCredentialsProvider(t.keyID, t.secret, ""),
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: t.roots, ServerName: "localhost"}}},
	}
	caller, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, nil)
	if err != nil {
		return session{}, err
	}
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}}`, *caller.Account)
	c := iam.NewFromConfig(config)
	role, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bench"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		return session{}, err
	}
	for i := range rolePolicies {
		p, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String(fmt.Sprint("bench-", i)), PolicyDocument: aws.String(rolePolicy(i))})
		if err != nil {
			return session{}, err
		}
		if _, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("bench"), PolicyArn: p.Policy.Arn}); err != nil {
			return session{}, err
		}
	}
	assumed, err := sts.NewFromConfig(config).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("bench")})
	if err != nil {
		return session{}, err
	}
	made := assumed.Credentials
	return session{*made.AccessKeyId, *made.SecretAccessKey, *made.SessionToken}, nil
}

// rolePolicy is one of the policies: statements about other secrets, each under a
// condition, and in the last policy one that lets the benchmark's be read.
func rolePolicy(n int) string {
	var statements []string
	for i := range roleStatements {
		resource := fmt.Sprintf("arn:aws:secretsmanager:*:*:secret:app-%d-%d/*", n, i)
		if n == rolePolicies-1 && i == roleStatements-1 {
			resource = "arn:aws:secretsmanager:*:*:secret:bench/*"
		}
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","secretsmanager:Describe*"],"Resource":%q,`+
			`"Condition":{"StringEquals":{"aws:RequestedRegion":%q}}}`, resource, region))
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}
