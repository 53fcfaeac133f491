package workload

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongroom/strongroom/internal/server"
)

// clients are the SDK's, for one endpoint.
type clients struct {
	endpoint string
	http     *http.Client
	home     string
	secrets  map[string]*secretsmanager.Client // by region
	kms      map[string]*kms.Client
	iam      *iam.Client
	sts      *sts.Client
}

func newClients(endpoint string, cfg *Config) *clients {
	c := &clients{endpoint, cfg.HTTP, cfg.Regions[0], map[string]*secretsmanager.Client{}, map[string]*kms.Client{}, nil, nil}
	for _, region := range cfg.Regions {
		c.secrets[region] = secretsmanager.NewFromConfig(c.aws(cfg.Credentials, region))
		c.kms[region] = kms.NewFromConfig(c.aws(cfg.Credentials, region))
	}
	c.iam = iam.NewFromConfig(c.aws(cfg.Credentials, c.home))
	c.sts = sts.NewFromConfig(c.aws(cfg.Credentials, c.home))
	return c
}

// aws is the SDK's configuration: without retries, since each answer counts.
func (c *clients) aws(key server.Credentials, region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: &c.endpoint, HTTPClient: c.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, key.SessionToken),
		APIOptions:  []func(*middleware.Stack) error{carry},
	}
}

func (c *clients) iamAs(key server.Credentials) *iam.Client {
	return iam.NewFromConfig(c.aws(key, c.home))
}
func (c *clients) stsAs(key server.Credentials) *sts.Client {
	return sts.NewFromConfig(c.aws(key, c.home))
}

// call is one request on its way: its mark goes with it, and the request id is
// noted as soon as there is an answer.
type call struct{ mark, requestID string }

type callKey struct{}

// agent begins the user agents of all calls that are counted.
const agent = "strongroom-workload/"

// carry adds to a client what takes a call's mark along. The user agent is not
// signed, and the SDK's own would be cut where room for a record is scarce.
func carry(stack *middleware.Stack) error {
	err := stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("WorkloadMark", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if r, ok := in.Request.(*smithyhttp.Request); ok {
			if c, ok := ctx.Value(callKey{}).(*call); ok {
				r.Header.Set("User-Agent", agent+c.mark)
			}
		}
		return next.HandleFinalize(ctx, in)
	}), middleware.Before)
	if err != nil {
		return err
	}
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("WorkloadRequestID", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		if r, ok := out.RawResponse.(*smithyhttp.Response); ok && r != nil && r.Response != nil {
			if c, ok := ctx.Value(callKey{}).(*call); ok {
				c.requestID = r.Header.Get("X-Amzn-Requestid")
			}
		}
		return out, meta, err
	}), middleware.After)
}

// outcome is what an answer lets its caller believe.
type outcome int

const (
	acknowledged outcome = iota
	refused              // the server says that it did nothing, and why
	unsent               // nobody was there to take the request
	unknown              // it may have been done, or be done yet
)

func outcomeOf(err error) outcome {
	if err == nil {
		return acknowledged
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unsent
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && !strings.Contains(api.ErrorCode(), "Throttl") {
		if r, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && r.HTTPStatusCode() < http.StatusInternalServerError {
			return refused
		}
	}
	return unknown
}

// code is the error code of an answer, "" for none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}
