package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// kept is how many secrets are there all the time.
const kept = 300

// perKind is how many callers of each kind there are.
const perKind = 2

// load is everything at once.
type load struct {
	s       *program.Process
	nobody  server.Credentials // a user without permissions
	calls   atomic.Int64
	mu      sync.Mutex
	counts  map[string]int64
	mistake error
}

func (l *load) config(key server.Credentials, client *http.Client) aws.Config {
	return aws.Config{Region: servertest.Region, BaseEndpoint: &l.s.URL, HTTPClient: client, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, key.SessionToken)}
}

func (l *load) secrets(key server.Credentials) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(l.config(key, l.s.HTTP))
}

func name(n int) *string { return aws.String(fmt.Sprintf("kept-%04d", n)) }

// prepare makes what stays.
func (l *load) prepare(ctx context.Context) error {
	c := l.secrets(l.s.Admin)
	for i := range kept {
		if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name(i), SecretString: aws.String(strings.Repeat("x", 1000))}); err != nil {
			return err
		}
	}
	i := iam.NewFromConfig(l.config(l.s.Admin, l.s.HTTP))
	if _, err := i.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("nobody")}); err != nil {
		return err
	}
	key, err := i.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("nobody")})
	if err != nil {
		return err
	}
	l.nobody = server.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
	_, err = i.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(servertest.Trust("arn:aws:iam::"+servertest.Account+":root", "sts:AssumeRole"))})
	if err != nil {
		return err
	}
	_, err = i.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("p"), PolicyDocument: aws.String(servertest.Allow("*", "secretsmanager:GetSecretValue"))})
	return err
}

// caller does one round of what its kind does; n tells callers and rounds apart.
type caller func(ctx context.Context, n int, r *rand.Rand) error

func (l *load) kinds() map[string]caller {
	admin := l.secrets(l.s.Admin)
	denied := l.secrets(l.nobody)
	forger := l.secrets(server.Credentials{AccessKeyID: l.s.Admin.AccessKeyID, SecretAccessKey: "another"})
	stranger := l.secrets(server.Credentials{AccessKeyID: "AKIAQQQQQQQQQQQQQQQQ", SecretAccessKey: "x"})
	keys := kms.NewFromConfig(l.config(l.s.Admin, l.s.HTTP))
	users := iam.NewFromConfig(l.config(l.s.Admin, l.s.HTTP))
	sessions := sts.NewFromConfig(l.config(l.s.Admin, l.s.HTTP))
	anew := l.s.HTTP.Transport
	get := func(ctx context.Context, c *secretsmanager.Client, r *rand.Rand) error {
		_, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name(r.IntN(kept))})
		return err
	}
	return map[string]caller{
		"read": func(ctx context.Context, _ int, r *rand.Rand) error { return get(ctx, admin, r) },
		"list": func(ctx context.Context, _ int, r *rand.Rand) error {
			return first(
				func() error {
					_, err := admin.ListSecrets(ctx, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(50)})
					return err
				},
				func() error {
					_, err := admin.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name(r.IntN(kept))})
					return err
				},
				func() error {
					_, err := admin.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{*name(r.IntN(kept)), *name(r.IntN(kept))}})
					return err
				},
				func() error { _, err := users.ListUsers(ctx, &iam.ListUsersInput{}); return err },
				func() error { _, err := keys.ListAliases(ctx, &kms.ListAliasesInput{}); return err },
			)
		},
		"write": func(ctx context.Context, n int, _ *rand.Rand) error { return churnSecret(ctx, admin, n) },
		"write iam": func(ctx context.Context, n int, _ *rand.Rand) error {
			return churnUser(ctx, users, n)
		},
		"denied": func(ctx context.Context, _ int, r *rand.Rand) error {
			return refusal(get(ctx, denied, r), "AccessDeniedException")
		},
		"bad signature": func(ctx context.Context, _ int, r *rand.Rand) error {
			return first(
				func() error { return refusal(get(ctx, forger, r), "InvalidSignatureException") },
				func() error { return refusal(get(ctx, stranger, r), "UnrecognizedClientException") },
			)
		},
		"session": func(ctx context.Context, _ int, r *rand.Rand) error {
			out, err := sessions.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + servertest.Account + ":role/reader"), RoleSessionName: aws.String("soak")})
			if err != nil {
				return err
			}
			return get(ctx, l.secrets(servertest.Session(out.Credentials)), r)
		},
		"new connection": func(ctx context.Context, _ int, r *rand.Rand) error {
			c := secretsmanager.NewFromConfig(l.config(l.s.Admin, &http.Client{Transport: closing{anew}}))
			return get(ctx, c, r)
		},
	}
}

// closing asks the server to close the connection behind each answer.
type closing struct{ http.RoundTripper }

func (c closing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Close = true
	return c.RoundTripper.RoundTrip(r)
}

func first(all ...func() error) error {
	for _, f := range all {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// refusal makes the error that is expected a success, and all else a mistake.
func refusal(err error, want string) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == want {
		return nil
	}
	return fmt.Errorf("want %s: %w", want, err)
}

// churnSecret is the whole life of a secret, of which nothing stays.
func churnSecret(ctx context.Context, c *secretsmanager.Client, n int) error {
	id := aws.String(fmt.Sprint("churned-", n))
	if _, err := c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: id, SecretString: aws.String("first"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}); err != nil {
		return err
	}
	for range 10 {
		if _, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: id, SecretString: aws.String(strings.Repeat("y", 1000))}); err != nil {
			return err
		}
	}
	_, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: id, ForceDeleteWithoutRecovery: aws.Bool(true)})
	return err
}

func churnUser(ctx context.Context, c *iam.Client, n int) error {
	id := aws.String(fmt.Sprint("churned-", n))
	if _, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: id}); err != nil {
		return err
	}
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: id})
	if err != nil {
		return err
	}
	if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: id, AccessKeyId: key.AccessKey.AccessKeyId}); err != nil {
		return err
	}
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: id})
	return err
}

// run lets all call until ctx ends.
func (l *load) run(ctx context.Context) {
	l.counts = map[string]int64{}
	var wg sync.WaitGroup
	for kind, call := range l.kinds() {
		for i := range perKind {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 0))
				for n := 0; ctx.Err() == nil && l.failed() == nil; n++ {
					one, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
					err := call(one, 2*n+i, r)
					cancel()
					l.note(kind, err)
				}
			})
		}
	}
	wg.Wait()
}

func (l *load) note(kind string, err error) {
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[kind]++
	if err != nil && l.mistake == nil {
		l.mistake = fmt.Errorf("%s: %w", kind, err)
	}
}

func (l *load) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mistake
}

func (l *load) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(l.counts)) {
		out = append(out, fmt.Sprintf("%s %d", kind, l.counts[kind]))
	}
	return strings.Join(out, ", ")
}
