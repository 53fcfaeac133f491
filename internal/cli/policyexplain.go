package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/policy"
)

// question is a request in flags.
type question struct {
	file, name                 string
	identity, session, context []string
	resourcePolicy, boundary   string
	principal, action          string
	resource, account          string
}

func newPolicyExplain(env *Env) *cobra.Command {
	var q question
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain",
		Short: "Show a decision, statement by statement",
		Long: `Show a decision statement by statement: which matched, what kept the others from
it, and what would have to change for the call to be allowed. The request comes
from a file in the format of "strongroom policy --help", where all but "request"
may be left out, or from flags. The status is 0 for a denial as well.`,
		Example: `  strongroom policy explain --file request.json
  strongroom policy explain --identity app-policy.json \
      --principal arn:aws:iam::111122223333:user/app --action secretsmanager:GetSecretValue \
      --resource arn:aws:secretsmanager:us-east-1:111122223333:secret:app/db-AbCdEf \
      --context aws:SourceIp=10.0.0.1`,
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			request, set, err := q.read(env)
			if err != nil {
				return err
			}
			x := policy.Explain(request, set)
			if asJSON {
				return printJSON(env.Stdout, x)
			}
			_, err = io.WriteString(env.Stdout, x.String())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&q.file, "file", "", "`FILE` with the request and its policies; \"-\" is standard input")
	f.StringVar(&q.name, "name", "", "`NAME` of the request in a file that holds a list")
	f.StringVar(&q.principal, "principal", "", "`ARN` of the caller: user, root, session of a role or federated user; a service such as lambda.amazonaws.com")
	f.StringVar(&q.action, "action", "", "`ACTION`, such as secretsmanager:GetSecretValue")
	f.StringVar(&q.resource, "resource", "*", "`ARN` of the resource")
	f.StringVar(&q.account, "resource-account", "", "`ACCOUNT` that owns the resource (default that of its ARN)")
	f.StringArrayVar(&q.identity, "identity", nil, "`FILE` with a policy of the caller; may be repeated")
	f.StringVar(&q.resourcePolicy, "resource-policy", "", "`FILE` with the policy of the resource")
	f.StringVar(&q.boundary, "boundary", "", "`FILE` with the permissions boundary")
	f.StringArrayVar(&q.session, "session", nil, "`FILE` with a session policy; may be repeated")
	f.StringArrayVar(&q.context, "context", nil, "condition key as `KEY=VALUE`; repeated for one key it has several values")
	for _, part := range []string{"principal", "action", "resource", "resource-account", "identity", "resource-policy", "boundary", "session", "context"} {
		exclude(c, "file", part)
	}
	jsonFlag(c, &asJSON)
	return c
}

func (q *question) read(env *Env) (*policy.Request, *policy.Set, error) {
	if q.file == "" {
		return q.parts(env)
	}
	r, err := openInput(env, q.file)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	request, set, err := policy.ReadVector(r, q.name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", plain(q.file), err)
	}
	return request, set, nil
}

// parts builds the request from flags.
func (q *question) parts(env *Env) (*policy.Request, *policy.Set, error) {
	if q.principal == "" || q.action == "" {
		return nil, nil, usageError{withHint(errors.New("--principal and --action are needed, or --file"), `"strongroom policy explain --help" shows examples`)}
	}
	principal, err := parsePrincipal(q.principal)
	if err != nil {
		return nil, nil, usageError{err}
	}
	action := strings.ToLower(q.action)
	set := &policy.Set{SessionPassed: len(q.session) > 0}
	if set.Identity, err = readPolicies(env, q.identity); err != nil {
		return nil, nil, err
	}
	if set.Session, err = readPolicies(env, q.session); err != nil {
		return nil, nil, err
	}
	if set.Boundary, err = readPolicy(env, q.boundary); err != nil {
		return nil, nil, err
	}
	if set.Resource, err = readPolicy(env, q.resourcePolicy); err != nil {
		return nil, nil, err
	}
	// Roles are the only resource of STS that has a policy.
	if set.Resource != nil && strings.HasPrefix(action, "sts:") {
		set.Resource.Kind = policy.KindTrust
	}
	context, err := q.keys()
	if err != nil {
		return nil, nil, usageError{err}
	}
	// The policies of KMS keys and of roles must allow, whatever IAM says.
	mandatory := strings.HasPrefix(action, "kms:") && strings.Contains(q.resource, ":key/") || strings.HasPrefix(action, "sts:assumerole")
	return &policy.Request{Principal: principal, Action: q.action, Resource: q.resource, ResourceAccount: q.account,
		Context: context, Mandatory: mandatory}, set, nil
}

func (q *question) keys() (*policy.Context, error) {
	values := map[string][]string{}
	for _, t := range q.context {
		key, val, ok := strings.Cut(t, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--context %s is not KEY=VALUE", plain(t))
		}
		values[key] = append(values[key], val)
	}
	context := new(policy.Context)
	for key, vals := range values {
		if len(vals) == 1 {
			context.Set(key, vals[0])
		} else {
			context.SetMany(key, vals)
		}
	}
	return context, nil
}

func readPolicies(env *Env, files []string) ([]policy.Source, error) {
	var out []policy.Source
	for _, file := range files {
		s, err := readPolicy(env, file)
		if err != nil {
			return nil, err
		}
		out = append(out, *s)
	}
	return out, nil
}

// maxPolicy bounds what is read of a policy; the largest kind has 32 KiB.
const maxPolicy = 1 << 20

// readPolicy parses a policy; nil for no file.
func readPolicy(env *Env, file string) (*policy.Source, error) {
	if file == "" {
		return nil, nil
	}
	r, err := openInput(env, file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	src, err := io.ReadAll(io.LimitReader(r, maxPolicy))
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plain(file), err)
	}
	return &policy.Source{ID: file, Doc: doc}, nil
}

// parsePrincipal makes a caller of its ARN.
func parsePrincipal(s string) (*policy.Principal, error) {
	if s == "*" {
		return &policy.Principal{Type: policy.Anonymous}, nil
	}
	if !strings.HasPrefix(s, "arn:") && strings.Contains(s, ".") {
		return &policy.Principal{Type: policy.Service, Service: s}, nil
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) == 6 && parts[0] == "arn" && len(parts[4]) == 12 {
		p := &policy.Principal{Account: parts[4], ARN: s}
		path := strings.Split(parts[5], "/")
		switch kind := parts[2] + " " + path[0]; {
		case kind == "iam root" && len(path) == 1:
			p.Type = policy.Root
			return p, nil
		case kind == "iam user" && len(path) > 1:
			p.Type, p.UserName = policy.User, path[len(path)-1]
			return p, nil
		case kind == "sts assumed-role" && len(path) == 3:
			p.Type, p.RoleARN = policy.AssumedRole, parts[0]+":"+parts[1]+":iam::"+p.Account+":role/"+path[1]
			return p, nil
		case kind == "sts federated-user" && len(path) == 2:
			p.Type = policy.FederatedUser
			return p, nil
		}
	}
	return nil, fmt.Errorf("--principal %s is not the ARN of a caller, such as arn:aws:iam::111122223333:user/app", plain(s))
}
