package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/policylint"
)

// policyKinds are the names of what a policy can be for.
var policyKinds = map[string]policy.Kind{
	"identity": policy.KindIdentity, "boundary": policy.KindBoundary, "session": policy.KindSession, "resource": policy.KindResource,
	"key": policy.KindKey, "trust": policy.KindTrust, "endpoint": policy.KindEndpoint,
}

func newPolicyCheck(env *Env) *cobra.Command {
	var asJSON, strict bool
	var kind string
	kinds := strings.Join(slices.Sorted(maps.Keys(policyKinds)), ", ")
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find mistakes in policies",
		Long: `Find mistakes in policies that are policies all the same: actions and condition
keys that do not exist, resources that no action of the statement works on,
operators that do not fit their key, conditions that hold when the key is
missing, statements that add nothing. "-" is standard input.

Known are CloudFormation, CloudTrail, CloudWatch and its logs, EventBridge, IAM,
KMS, Lambda, Secrets Manager, SNS, SSM and STS; what is said about other services
is not looked at. The server stores policies whatever is found here.

The status is 1 when there is an error; with --strict, when anything is found.`,
		Example: `  strongroom policy check app-policy.json
  strongroom policy check --kind key --strict key-policy.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return arguments("FILE")(c, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, files []string) error {
			out := checkRun{Findings: []checkFinding{}}
			for _, file := range files {
				if err := out.check(env, file, kind); err != nil {
					return fmt.Errorf("cannot check %s: %w", plain(file), err)
				}
			}
			var err error
			if asJSON {
				err = printJSON(env.Stdout, out)
			} else {
				err = out.print(env)
			}
			if err == nil && (out.errors > 0 || strict && len(out.Findings) > 0) {
				return errSilent
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&kind, "kind", "", "`KIND` of policy: "+kinds+" (default by its elements)")
	f.BoolVar(&strict, "strict", false, "fail on warnings and suggestions too")
	jsonFlag(c, &asJSON)
	c.PreRunE = func(*cobra.Command, []string) error {
		if _, ok := policyKinds[kind]; kind != "" && !ok {
			return usageError{fmt.Errorf("--kind %s is none of %s", plain(kind), kinds)}
		}
		return nil
	}
	return c
}

// checkRun is what was found in all files.
type checkRun struct {
	Findings []checkFinding `json:"findings"`

	errors, files int
}

type checkFinding struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Severity  string `json:"severity"`
	Code      string `json:"code"`
	Statement int    `json:"statement,omitempty"` // from 1
	Sid       string `json:"sid,omitempty"`
	Message   string `json:"message"`
}

func (r *checkRun) check(env *Env, file, kind string) error {
	in, err := openInput(env, file)
	if err != nil {
		return err
	}
	defer in.Close()
	// One byte more than the parser accepts, so that it refuses what is cut.
	src, err := io.ReadAll(io.LimitReader(in, maxPolicy+1))
	if err != nil {
		return err
	}
	what, ok := policyKinds[kind]
	if !ok {
		what = policylint.Guess(src)
	}
	r.files++
	for _, f := range policylint.Check(src, what) {
		if f.Severity == policylint.Error {
			r.errors++
		}
		r.Findings = append(r.Findings, checkFinding{file, f.Line, f.Severity.String(), f.Code, f.Statement, f.Sid, f.Message})
	}
	return nil
}

func (r *checkRun) print(env *Env) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s:%d: %s: %s [%s]\n", plain(f.File), f.Line, f.Severity, plain(f.Message), f.Code)
	}
	fmt.Fprintf(&b, "%s, %s\n", count(r.files, "file"), count(len(r.Findings), "finding"))
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}
