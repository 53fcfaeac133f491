package iam_test

import (
	"fmt"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/strongroom/strongroom/internal/servertest"
)

const (
	simulatedSecret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	foreignSecret   = "arn:aws:secretsmanager:us-east-1:444455556666:secret:shared-AbCdEf"
)

// verdicts prints results in one line each.
func verdicts(results []types.EvaluationResult) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s %s %s", *r.EvalActionName, *r.EvalResourceName, r.EvalDecision)
		for _, m := range r.MatchedStatements {
			fmt.Fprintf(&b, " %s/%s@%d:%d-%d:%d", *m.SourcePolicyId, m.SourcePolicyType, m.StartPosition.Line, m.StartPosition.Column, m.EndPosition.Line, m.EndPosition.Column)
		}
		if len(r.MissingContextValues) > 0 {
			fmt.Fprintf(&b, " missing %v", r.MissingContextValues)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestSimulateCustomPolicy(t *testing.T) {
	t.Parallel()
	b := start(t)
	text := `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "secretsmanager:Get*", "Resource": "*"},
    {"Effect": "Deny", "Action": "*", "Resource": "*",
     "Condition": {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
  ]
}`
	in := &sdk.SimulateCustomPolicyInput{
		PolicyInputList: []string{text, servertest.Allow("*", "secretsmanager:GetSecretValue")}, ActionNames: []string{"secretsmanager:GetSecretValue", "kms:Decrypt"},
	}
	out := must(b.admin.SimulateCustomPolicy(t.Context(), in))(t)
	want := `secretsmanager:GetSecretValue * allowed PolicyInputList.1/IAM Policy@4:5-4:74 PolicyInputList.2/IAM Policy@1:38-1:114 missing [aws:SourceIp]
kms:Decrypt * implicitDeny missing [aws:SourceIp]
`
	second := must(b.admin.SimulateCustomPolicy(t.Context(), in))(t)
	if got := verdicts(out.EvaluationResults); got != want || verdicts(second.EvaluationResults) != got || out.IsTruncated || out.Marker != nil {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, r := range out.EvaluationResults {
		if r.ResourceSpecificResults != nil || r.PermissionsBoundaryDecisionDetail != nil || r.OrganizationsDecisionDetail != nil || len(r.EvalDecisionDetails) != 0 {
			t.Errorf("%+v", r)
		}
	}

	// With a resource and the key that was missing.
	in.ResourceArns = []string{simulatedSecret}
	in.ContextEntries = []types.ContextEntry{{ContextKeyName: str("aws:sourceip"), ContextKeyType: types.ContextKeyTypeEnumIp, ContextKeyValues: []string{"203.0.113.9"}}}
	in.PermissionsBoundaryPolicyInputList = []string{servertest.Allow("*", "*")}
	out = must(b.admin.SimulateCustomPolicy(t.Context(), in))(t)
	r := out.EvaluationResults[0]
	if got := verdicts(out.EvaluationResults[:1]); got != "secretsmanager:GetSecretValue "+simulatedSecret+" explicitDeny PolicyInputList.1/IAM Policy@5:5-6:69\n" {
		t.Error(got)
	}
	if len(r.ResourceSpecificResults) != 1 || r.ResourceSpecificResults[0].EvalResourceDecision != "explicitDeny" || *r.ResourceSpecificResults[0].EvalResourceName != simulatedSecret ||
		len(r.ResourceSpecificResults[0].MatchedStatements) != 1 || r.PermissionsBoundaryDecisionDetail == nil || !r.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
		t.Errorf("%+v", r)
	}
	// What is missing stands with the resource.
	in.ContextEntries = nil
	r = must(b.admin.SimulateCustomPolicy(t.Context(), in))(t).EvaluationResults[0]
	if len(r.MissingContextValues) != 0 || fmt.Sprint(r.ResourceSpecificResults[0].MissingContextValues) != "[aws:SourceIp]" {
		t.Errorf("missing %v, with the resource %v", r.MissingContextValues, r.ResourceSpecificResults[0].MissingContextValues)
	}
}

func TestSimulateAcrossAccounts(t *testing.T) {
	t.Parallel()
	b := start(t)
	in := &sdk.SimulateCustomPolicyInput{
		PolicyInputList: []string{servertest.Allow("*", "*")}, ActionNames: []string{"secretsmanager:GetSecretValue"}, ResourceArns: []string{foreignSecret},
		CallerArn: str("arn:aws:iam::111122223333:user/ann"),
	}
	decide := func(want string, details map[string]types.PolicyEvaluationDecisionType) {
		t.Helper()
		r := must(b.admin.SimulateCustomPolicy(t.Context(), in))(t).EvaluationResults[0]
		if string(r.EvalDecision) != want || fmt.Sprint(r.EvalDecisionDetails) != fmt.Sprint(details) {
			t.Errorf("%s %v, want %s %v", r.EvalDecision, r.EvalDecisionDetails, want, details)
		}
	}
	decide("implicitDeny", map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "implicitDeny"})
	in.ResourcePolicy = str(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"secretsmanager:*","Resource":"*"}}`)
	decide("allowed", map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "allowed"})
	in.CallerArn = str("arn:aws:iam::111122223333:user/bob")
	decide("implicitDeny", map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "implicitDeny"})
	in.ResourceArns, in.ResourceOwner = []string{"arn:aws:s3:::bucket"}, str("arn:aws:iam::444455556666:root")
	decide("implicitDeny", map[string]types.PolicyEvaluationDecisionType{"IAM Policy": "allowed", "Resource Policy": "implicitDeny"})
	in.ResourceOwner = str("111122223333")
	decide("allowed", map[string]types.PolicyEvaluationDecisionType{})
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		must(b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("ann"), Path: str("/team/"), Tags: []types.Tag{{Key: str("team"), Value: str("blue")}}}))(t)
		ok(t, b.put("ann", "own", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:${aws:PrincipalTag/team}/*"}}`))
		must(b.admin.AttachUserPolicy(t.Context(), &sdk.AttachUserPolicyInput{
			UserName: str("ann"), PolicyArn: b.createPolicy(t, "Keys", servertest.Allow("*", "kms:Decrypt")).Arn,
		}))(t)
		in := &sdk.SimulatePrincipalPolicyInput{
			PolicySourceArn: str("arn:aws:iam::111122223333:user/team/ann"), ActionNames: []string{"secretsmanager:GetSecretValue", "kms:Decrypt", "iam:GetUser"},
			ResourceArns: []string{"arn:aws:secretsmanager:us-east-1:111122223333:secret:blue/db-AbCdEf", simulatedSecret},
		}
		out := must(b.admin.SimulatePrincipalPolicy(t.Context(), in))(t)
		var got []string
		for _, r := range out.EvaluationResults {
			line := string(r.EvalDecision)
			for _, m := range r.MatchedStatements {
				line += " " + *m.SourcePolicyId
			}
			got = append(got, line)
		}
		if want := "[allowed user_ann_own implicitDeny allowed Keys allowed Keys implicitDeny implicitDeny]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
		// More policies and a boundary, as if she had them.
		in.PolicyInputList, in.PermissionsBoundaryPolicyInputList = []string{servertest.Allow("*", "iam:GetUser")}, []string{servertest.Allow("*", "iam:*")}
		out = must(b.admin.SimulatePrincipalPolicy(t.Context(), in))(t)
		for i, r := range out.EvaluationResults {
			if allowed := r.EvalDecision == "allowed"; allowed != (i >= 4) || r.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary != (i >= 4) {
				t.Errorf("%s %s: %s", *r.EvalActionName, *r.EvalResourceName, r.EvalDecision)
			}
		}

		// Her own boundary counts when none is given.
		limit := b.createPolicy(t, "limit", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"kms:*","Resource":"*"}]}`)
		must(b.admin.CreateUser(t.Context(), &sdk.CreateUserInput{UserName: str("bound"), PermissionsBoundary: limit.Arn}))(t)
		ok(t, b.put("bound", "all", servertest.Allow("*", "*")))
		bound := must(b.admin.SimulatePrincipalPolicy(t.Context(), &sdk.SimulatePrincipalPolicyInput{
			PolicySourceArn: str("arn:aws:iam::111122223333:user/bound"), ActionNames: []string{"kms:Decrypt", "iam:GetUser"},
		}))(t).EvaluationResults
		if bound[0].EvalDecision != "explicitDeny" || *bound[0].MatchedStatements[0].SourcePolicyId != "limit" || bound[0].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary ||
			bound[1].EvalDecision != "allowed" || !bound[1].PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
			t.Error(verdicts(bound))
		}

		// A role is asked about as any of its sessions.
		must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("app"), AssumeRolePolicyDocument: str(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`)}))(t)
		must(b.admin.PutRolePolicy(t.Context(), &sdk.PutRolePolicyInput{RoleName: str("app"), PolicyName: str("read"), PolicyDocument: str(servertest.Allow("*", "secretsmanager:GetSecretValue"))}))(t)
		role := &sdk.SimulatePrincipalPolicyInput{PolicySourceArn: str("arn:aws:iam::111122223333:role/app"), ActionNames: []string{"secretsmanager:GetSecretValue"}}
		r := must(b.admin.SimulatePrincipalPolicy(t.Context(), role))(t).EvaluationResults
		if len(r) != 1 || r[0].EvalDecision != "allowed" || *r[0].MatchedStatements[0].SourcePolicyId != "role_app_read" {
			t.Errorf("%+v", r)
		}

		// Pages, in the order of actions and then resources.
		in.MaxItems = new(int32(4))
		var pages []int
		seen := ""
		for {
			out := must(b.admin.SimulatePrincipalPolicy(t.Context(), in))(t)
			pages = append(pages, len(out.EvaluationResults))
			for _, r := range out.EvaluationResults {
				seen += *r.EvalActionName + " "
			}
			if in.Marker = out.Marker; !out.IsTruncated {
				break
			}
		}
		if fmt.Sprint(pages) != "[4 2]" || seen != strings.Repeat("secretsmanager:GetSecretValue ", 2)+strings.Repeat("kms:Decrypt ", 2)+strings.Repeat("iam:GetUser ", 2) {
			t.Errorf("pages of %v: %s", pages, seen)
		}
	})
}

func TestSimulateErrors(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.createUser("ann", "")
	must(b.admin.CreateRole(t.Context(), &sdk.CreateRoleInput{RoleName: str("app"), AssumeRolePolicyDocument: str(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`)}))(t)
	custom := func(change func(*sdk.SimulateCustomPolicyInput)) error {
		in := &sdk.SimulateCustomPolicyInput{PolicyInputList: []string{servertest.Allow("*", "*")}, ActionNames: []string{"kms:Decrypt"}}
		change(in)
		_, err := b.admin.SimulateCustomPolicy(t.Context(), in)
		return err
	}
	type input = sdk.SimulateCustomPolicyInput
	for message, change := range map[string]func(*input){
		"Invalid Action name: Decrypt":  func(in *input) { in.ActionNames = []string{"Decrypt"} },
		"Invalid Action name: kms:*":    func(in *input) { in.ActionNames = []string{"kms:*"} },
		"Invalid Resource ARN: prod/db": func(in *input) { in.ResourceArns = []string{"prod/db"} },
		"Syntax errors in policy.":      func(in *input) { in.PolicyInputList = []string{"{"} },
		"Policy statement must contain actions.": func(in *input) {
			in.PermissionsBoundaryPolicyInputList = []string{`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*"}}`}
		},
		"There can be one permissions boundary only.": func(in *input) {
			in.PermissionsBoundaryPolicyInputList = []string{servertest.Allow("*", "*"), servertest.Allow("*", "*")}
		},
		"CallerArn is required with ResourcePolicy when the policies are not those of a user.": func(in *input) {
			in.ResourcePolicy = str(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`)
		},
		"line 1, column 14: statement without Principal": func(in *input) {
			in.ResourcePolicy = str(`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`)
		},
		"Invalid CallerArn: arn:aws:iam::111122223333:role/app is not the ARN of a user.": func(in *input) { in.CallerArn = str("arn:aws:iam::111122223333:role/app") },
		"Invalid ResourceOwner: bob": func(in *input) { in.ResourceOwner = str("bob") },
		"Context key aws:SourceIp of type ip has more than one value": func(in *input) {
			in.ContextEntries = []types.ContextEntry{{ContextKeyName: str("aws:SourceIp"), ContextKeyType: "ip", ContextKeyValues: []string{"10.0.0.1", "10.0.0.2"}}}
		},
		"Invalid context key type: ": func(in *input) {
			in.ContextEntries = []types.ContextEntry{{ContextKeyName: str("aws:SourceIp"), ContextKeyValues: []string{"10.0.0.1"}}}
		},
		"More than 500 context keys, or more than 65536 bytes of keys and values": func(in *input) {
			in.ContextEntries = []types.ContextEntry{{ContextKeyName: str("aws:UserAgent"), ContextKeyType: "string", ContextKeyValues: []string{strings.Repeat("x", 70_000)}}}
		},
	} {
		b.want(t, "SimulateCustomPolicy", custom(change), 400, "InvalidInput", message)
	}
	for _, marker := range []string{"x", "MA", "OTk"} { // no number, 0, 99
		b.want(t, "SimulateCustomPolicy", custom(func(in *input) { in.Marker = &marker }), 400, "ValidationError", "Invalid Marker.")
	}

	principal := func(arn string) error {
		_, err := b.admin.SimulatePrincipalPolicy(t.Context(), &sdk.SimulatePrincipalPolicyInput{
			PolicySourceArn: &arn, ActionNames: []string{"kms:Decrypt"}, ResourcePolicy: str(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`),
		})
		return err
	}
	ok(t, principal("arn:aws:iam::111122223333:user/ann"))
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:iam::111122223333:role/app"), 400, "InvalidInput", "CallerArn is required with ResourcePolicy when the policies are not those of a user.")
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:sts::111122223333:assumed-role/app/s"), 400, "InvalidInput",
		"Invalid Entity Arn: arn:aws:sts::111122223333:assumed-role/app/s does not clearly define entity type and name.")
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:iam::111122223333:user/bob"), 404, "NoSuchEntity", "The user with name bob cannot be found.")
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:iam::111122223333:user/team/ann"), 404, "NoSuchEntity", "The user with name ann cannot be found.")
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:iam::111122223333:group/none"), 404, "NoSuchEntity", "The group with name none cannot be found.")
	b.want(t, "SimulatePrincipalPolicy", principal("arn:aws:iam::444455556666:user/ann"), 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/admin is not authorized to perform: iam:SimulatePrincipalPolicy on resource: arn:aws:iam::444455556666:user/ann because no resource-based policy allows the iam:SimulatePrincipalPolicy action")

	// Both need their permission.
	nobody := b.as(b.User(t, "nobody", ""))
	_, err := nobody.SimulateCustomPolicy(t.Context(), &sdk.SimulateCustomPolicyInput{PolicyInputList: []string{servertest.Allow("*", "*")}, ActionNames: []string{"kms:Decrypt"}})
	b.want(t, "SimulateCustomPolicy", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: iam:SimulateCustomPolicy"+
		" on resource: * because no identity-based policy allows the iam:SimulateCustomPolicy action")
	_, err = nobody.SimulatePrincipalPolicy(t.Context(), &sdk.SimulatePrincipalPolicyInput{PolicySourceArn: str("arn:aws:iam::111122223333:user/ann"), ActionNames: []string{"kms:Decrypt"}})
	b.want(t, "SimulatePrincipalPolicy", err, 403, "AccessDenied", "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: iam:SimulatePrincipalPolicy"+
		" on resource: user ann because no identity-based policy allows the iam:SimulatePrincipalPolicy action")
}

// TestSimulateManyCombinations: a page of a large simulation is short, and pages add up.
func TestSimulateManyCombinations(t *testing.T) {
	t.Parallel()
	b := start(t)
	in := &sdk.SimulateCustomPolicyInput{MaxItems: new(int32(1000))}
	var statements []string
	for i := range 1500 {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":"kms:X%d","Resource":"*"}`, i))
	}
	for range 5 {
		in.PolicyInputList = append(in.PolicyInputList, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
	}
	for i := range 20 {
		in.ActionNames = append(in.ActionNames, fmt.Sprintf("kms:X%d", i))
		in.ResourceArns = append(in.ResourceArns, fmt.Sprintf("arn:aws:kms:us-east-1:111122223333:key/%d", i))
	}
	seen, pages := 0, 0
	for {
		out := must(b.admin.SimulateCustomPolicy(t.Context(), in))(t)
		for _, r := range out.EvaluationResults {
			if r.EvalDecision != "allowed" || len(r.MatchedStatements) != 5 {
				t.Fatalf("%+v", r)
			}
		}
		seen, pages = seen+len(out.EvaluationResults), pages+1
		if in.Marker = out.Marker; !out.IsTruncated {
			break
		}
	}
	if seen != 400 || pages < 5 {
		t.Errorf("%d results on %d pages", seen, pages)
	}
}
