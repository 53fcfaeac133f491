package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/ca"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
)

func newSecret(env *Env) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "secret",
		Short: "Create, read, change and delete secrets",
		Long: `Create, read, change and delete secrets, through the official AWS SDK.

Endpoint, region and credentials come from where the AWS CLI takes them: flags,
environment, profile. Where no endpoint is named, the server that runs on the
data directory is used as its admin, and the command says so. Nothing is ever
sent to Amazon unless its address is named.

A value is never an argument, where other users and the shell's history would
see it. It comes from standard input, a file or a prompt.`,
	})
	for _, command := range []func(*Env) *cobra.Command{
		newSecretCreate, newSecretGet, newSecretPut, newSecretList, newSecretDescribe, newSecretVersions, newSecretDelete, newSecretRestore,
	} {
		c.AddCommand(command(env))
	}
	return c
}

// access is how a command reaches the API: the flags that all of them share.
type access struct {
	env                             *Env
	endpoint, region, profile, data string
	asJSON                          bool
	dataGiven                       bool
}

// accessFlags adds the shared flags to a command that reads or changes secrets.
func accessFlags(c *cobra.Command, env *Env) *access {
	a := &access{env: env}
	c.Flags().StringVar(&a.endpoint, "endpoint", "", "`URL` of the server (environment AWS_ENDPOINT_URL)")
	c.Flags().StringVar(&a.region, "region", "", "`REGION` (environment AWS_REGION)")
	c.Flags().StringVar(&a.profile, "profile", "", "`PROFILE` of the AWS configuration (environment AWS_PROFILE)")
	dataFlag(c, env, &a.data)
	c.Flags().Lookup("data").Usage = "use the server that runs on `DIR`, as its admin"
	jsonFlag(c, &a.asJSON)
	c.Flags().Lookup("json").Usage = "print the answer as received"
	exclude(c, "data", "endpoint")
	exclude(c, "data", "profile")
	c.PreRun = func(c *cobra.Command, _ []string) { a.dataGiven = c.Flags().Changed("data") }
	return a
}

// client is the SDK's client, with the answers as they were received.
type client struct {
	*secretsmanager.Client
	// raw is the body of the last answer.
	raw []byte
}

// open makes the client. What was named most directly wins: --data, then what
// the SDK finds in flags, environment and profile, then the server that runs on
// the default data directory. Without any endpoint it refuses: the SDK's own
// default is Amazon.
func (a *access) open(ctx context.Context) (*client, error) {
	if a.dataGiven {
		return a.local(ctx)
	}
	cfg, err := a.standard(ctx)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg)
	if c.Options().BaseEndpoint != nil {
		return c, checkStandard(ctx, cfg)
	}
	if a.profile != "" {
		return nil, withHint(fmt.Errorf("profile %s names no endpoint, so the call would go to Amazon", plain(a.profile)),
			"add endpoint_url to the profile, or give --endpoint URL")
	}
	c, err = a.local(ctx)
	if err != nil {
		return nil, withHint(fmt.Errorf("no endpoint is configured, so the call would go to Amazon; and in its place: %w", err),
			`start a server and use it with: eval "$(strongroom env)"; or name one with --endpoint URL or AWS_ENDPOINT_URL`)
	}
	fmt.Fprintf(a.env.Stderr, "Using %s as admin of %s.\n", *c.Options().BaseEndpoint, a.data)
	return c, nil
}

// standard is the SDK's configuration from flags, environment and profile.
func (a *access) standard(ctx context.Context) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{
		// Keys of an EC2 instance are Amazon's and unknown to any other server;
		// asking for them only takes time.
		awsconfig.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		// What the SDK has to say of connections it could not use again is nothing
		// for a person; errors come back as errors.
		awsconfig.WithLogger(logging.Nop{}),
	}
	if a.profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(a.profile))
	}
	if a.region != "" {
		options = append(options, awsconfig.WithRegion(a.region))
	}
	if a.endpoint != "" {
		options = append(options, awsconfig.WithBaseEndpoint(a.endpoint))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("load AWS configuration: %w", err)
	}
	if a.endpoint != "" && !strings.HasPrefix(a.endpoint, "https://") && !strings.HasPrefix(a.endpoint, "http://") {
		return cfg, usageError{fmt.Errorf("--endpoint %s is not a URL such as https://127.0.0.1:4766", plain(a.endpoint))}
	}
	return cfg, nil
}

// checkStandard asks for what a call needs before the SDK's own, long-winded
// errors do.
func checkStandard(ctx context.Context, cfg aws.Config) error {
	if cfg.Region == "" {
		return withHint(errors.New("no region is configured"), "name it with --region, AWS_REGION or in the profile")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return withHint(errors.New("no credentials are found in environment and profile"),
			`take those of the admin with: eval "$(strongroom env)"; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`)
	}
	return nil
}

// local uses the server that runs on the data directory as its admin. That it
// answers on its socket matters: a file can come from anywhere, with a server's
// address and a certificate authority of somebody else in it, but a socket that
// answers cannot.
func (a *access) local(ctx context.Context) (*client, error) {
	var st server.Status
	if err := operator(ctx, a.data, http.MethodGet, "/v1/status", nil, &st); err != nil {
		return nil, err
	}
	creds, err := adminCredentials(a.data)
	if err != nil {
		return nil, err
	}
	settings, err := config.Load(a.data, a.env.Getenv, nil)
	if err != nil {
		return nil, err
	}
	endpoint := server.Endpoint(settings)
	cfg := aws.Config{
		Region: settings.Region, BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(creds.AccessKeyID, creds.SecretAccessKey, ""),
	}
	if a.region != "" {
		cfg.Region = a.region
	}
	if strings.HasPrefix(endpoint, "https:") && settings.TLS.Certificate == "" {
		pem, err := os.ReadFile(filepath.Join(a.data, ca.CertificateFile))
		if err != nil {
			return nil, fmt.Errorf("read certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
			t.Proxy = nil // it is this machine
		})
	}
	return newClient(cfg), nil
}

// maxAnswer bounds what is read of an answer; the largest, a page of secrets with
// all their tags, stays below a megabyte.
const maxAnswer = 64 << 20

func newClient(cfg aws.Config) *client {
	c := &client{}
	keep := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		answer, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok {
			return out, meta, err
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
		err = errors.Join(err, answer.Body.Close())
		answer.Body, c.raw = io.NopCloser(bytes.NewReader(body)), body
		return out, meta, err
	}
	c.Client = secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		o.AppID = "strongroom-cli"
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			// After: nearest to the wire, so that the SDK reads what is kept.
			return s.Deserialize.Add(middleware.DeserializeMiddlewareFunc("KeepAnswer", keep), middleware.After)
		})
	})
	return c
}

// show prints the last answer as JSON, or calls human.
func (a *access) show(c *client, human func() error) error {
	if a.asJSON {
		return printRaw(a.env.Stdout, c.raw)
	}
	return human()
}
