package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/spf13/cobra"

	vocabulary "github.com/strongroom/strongroom/internal/aws"
)

// Environment variables that the SDKs take a role from; here they are defaults of
// flags.
const (
	envRoleARN     = "AWS_ROLE_ARN"
	envSessionName = "AWS_ROLE_SESSION_NAME"
	envTokenFile   = "AWS_WEB_IDENTITY_TOKEN_FILE"
	// envDepth counts how many of these commands wait for each other's credentials.
	envDepth = "STRONGROOM_CREDENTIAL_DEPTH"
)

const (
	// defaultSession names sessions that were given no name.
	defaultSession = "strongroom"
	// maxToken is the longest ID token that the API takes.
	maxToken = 20_000
	// refreshBefore is how long before their end credentials are made anew. SDKs do
	// so five minutes before the end; what they are given should live longer.
	refreshBefore = 6 * time.Minute
	// maxDepth is how long a chain of profiles may be that each take a role with the
	// credentials of the next.
	maxDepth = 4
)

// workload says which role is taken, and with what proof: the flags of the
// commands that hand out credentials.
type workload struct {
	access
	roleARN, session, externalID, tokenFile string
	duration                                time.Duration
	now                                     func() time.Time
	descended                               bool
}

func workloadFlags(c *cobra.Command, env *Env) *workload {
	w := &workload{access: access{env: env}, now: time.Now}
	f := c.Flags()
	f.StringVar(&w.endpoint, "endpoint", "", "`URL` of the server (environment AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL)")
	f.StringVar(&w.region, "region", "", "`REGION` (environment AWS_REGION)")
	f.StringVar(&w.profile, "profile", "", "`PROFILE` with the credentials that take the role; not the one that runs this command")
	f.StringVar(&w.roleARN, "role-arn", env.Getenv(envRoleARN), "`ARN` of the role (environment "+envRoleARN+")")
	f.StringVar(&w.session, "session-name", env.Getenv(envSessionName), "`NAME` of the session (environment "+envSessionName+"; default "+defaultSession+")")
	f.StringVar(&w.externalID, "external-id", "", "external `ID` that the role's trust policy asks for")
	f.StringVar(&w.tokenFile, "web-identity-token-file", env.Getenv(envTokenFile), "take the role with the ID token in `FILE` and no other credentials (environment "+envTokenFile+")")
	f.DurationVar(&w.duration, "duration", time.Hour, "how long credentials last, 15m to 12h")
	_ = c.MarkFlagFilename("web-identity-token-file") // fails only for a flag that does not exist
	exclude(c, "web-identity-token-file", "profile")
	exclude(c, "web-identity-token-file", "external-id")
	return w
}

// temporary are temporary credentials.
type temporary struct {
	AccessKeyID, SecretAccessKey, SessionToken, AccountID string
	Expires                                               time.Time
}

// fresh says whether they are worth handing out.
func (t *temporary) fresh(now time.Time) bool { return now.Add(refreshBefore).Before(t.Expires) }

// taking is a role about to be taken.
type taking struct {
	*workload
	client *sts.Client
	// token is the ID token, nil when credentials of the SDK's chain sign.
	token []byte
	// holder tells apart those on whose behalf the role is taken.
	holder string
}

// prepare reads what the role is taken with. It is done anew each time: token files
// are replaced while the program runs.
func (w *workload) prepare(ctx context.Context) (*taking, error) {
	if w.roleARN == "" {
		return nil, usageError{errors.New("no role is named: give --role-arn or " + envRoleARN)}
	}
	if w.session == "" {
		w.session = defaultSession
	}
	if err := w.descend(); err != nil {
		return nil, err
	}
	cfg, err := w.standard(ctx)
	if err != nil {
		return nil, err
	}
	t := &taking{workload: w}
	// The SDK's own credentials must not sign where a token proves who calls.
	if w.tokenFile != "" {
		if t.token, err = readToken(w.tokenFile); err != nil {
			return nil, fmt.Errorf("read web identity token: %w", err)
		}
		t.holder = string(t.token)
		cfg.Credentials = aws.AnonymousCredentials{}
		if cfg.Region == "" {
			return nil, withHint(errors.New("no region is configured"), "name it with --region, AWS_REGION or in the profile")
		}
	} else {
		if err := checkStandard(ctx, cfg); err != nil {
			return nil, err
		}
		own, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			return nil, err
		}
		t.holder = own.AccessKeyID
	}
	t.client = sts.NewFromConfig(cfg, func(o *sts.Options) { o.AppID = "strongroom-cli" })
	if t.client.Options().BaseEndpoint == nil {
		return nil, withHint(errors.New("no endpoint is configured, so the call would go to Amazon"),
			"name one with --endpoint URL, AWS_ENDPOINT_URL or endpoint_url in the profile")
	}
	return t, nil
}

// descend refuses to start one more of a chain that has no end: a profile whose
// credential_process asks for the credentials of the same profile, by its name or by
// an inherited AWS_PROFILE, would start processes for ever.
func (w *workload) descend() error {
	if w.descended {
		return nil // this process counts once, however often it takes the role
	}
	depth, _ := strconv.Atoi(w.env.Getenv(envDepth)) // unset, or of somebody else's making: 0
	if depth >= maxDepth {
		return withHint(errors.New("the profile takes its credentials from this command, which asks the profile for credentials"),
			"name the profile that holds the first credentials with --profile")
	}
	w.descended = true
	return os.Setenv(envDepth, strconv.Itoa(depth+1))
}

// readToken reads an ID token. The error does not repeat what the file holds.
func readToken(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+64))
	b = bytes.TrimSpace(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	case len(b) > maxToken:
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxToken)
	}
	return b, nil
}

// take makes credentials.
func (t *taking) take(ctx context.Context) (temporary, error) {
	seconds := int32(t.duration / time.Second)
	var c *types.Credentials
	var user *types.AssumedRoleUser
	if t.token != nil {
		out, err := t.client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: &t.roleARN, RoleSessionName: &t.session, DurationSeconds: &seconds, WebIdentityToken: aws.String(string(t.token)),
		})
		if err != nil {
			return temporary{}, apiError("take role", t.roleARN, err)
		}
		c, user = out.Credentials, out.AssumedRoleUser
	} else {
		out, err := t.client.AssumeRole(ctx, &sts.AssumeRoleInput{
			RoleArn: &t.roleARN, RoleSessionName: &t.session, DurationSeconds: &seconds, ExternalId: optional(t.externalID),
		})
		if err != nil {
			return temporary{}, apiError("take role", t.roleARN, err)
		}
		c, user = out.Credentials, out.AssumedRoleUser
	}
	got := temporary{AccessKeyID: aws.ToString(c.AccessKeyId), SecretAccessKey: aws.ToString(c.SecretAccessKey), SessionToken: aws.ToString(c.SessionToken), Expires: aws.ToTime(c.Expiration)}
	if arn, err := vocabulary.ParseARN(aws.ToString(user.Arn)); err == nil {
		got.AccountID = arn.Account
	}
	return got, nil
}
