package awsmanaged

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
)

func TestList(t *testing.T) {
	list := List()
	if len(list) != 20 {
		t.Errorf("%d policies", len(list))
	}
	if !slices.IsSortedFunc(list, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	ids := map[string]bool{}
	for _, p := range list {
		got, ok := Get(p.ARN)
		if !ok || got != p {
			t.Errorf("Get(%s) = %+v, %v", p.ARN, got, ok)
		}
		if !regexp.MustCompile(`^ANPA[A-Z2-7]{17}$`).MatchString(p.ID) || ids[p.ID] {
			t.Errorf("%s: id %s", p.Name, p.ID)
		}
		ids[p.ID] = true
		if p.ARN != "arn:aws:iam::aws:policy"+p.Path+p.Name {
			t.Errorf("%s: path %s, ARN %s", p.Name, p.Path, p.ARN)
		}
		if _, err := policy.ParseAs([]byte(p.Text), policy.KindIdentity); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if p.Document.Size() > 6144 {
			t.Errorf("%s: %d characters are more than a managed policy may have", p.Name, p.Document.Size())
		}
		if p.Version != "v1" || p.Created.IsZero() {
			t.Errorf("%s: version %s of %s", p.Name, p.Version, p.Created)
		}
	}
}

func TestGet(t *testing.T) {
	p, ok := Get("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
	if !ok || p.Path != "/service-role/" || p.Name != "AWSLambdaBasicExecutionRole" {
		t.Errorf("%+v, %v", p, ok)
	}
	// A stored id must stay what it is.
	if admin, _ := Get("arn:aws:iam::aws:policy/AdministratorAccess"); admin.ID != "ANPAXUEARDEVTUHKHZ23E" || admin.Path != "/" {
		t.Errorf("AdministratorAccess: id %s, path %s", admin.ID, admin.Path)
	}
	for _, arn := range []string{
		"", "arn:aws:iam::aws:policy/", "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole", "arn:aws:iam::aws:policy/administratoraccess",
		"arn:aws:iam::111122223333:policy/AdministratorAccess",
	} {
		if p, ok := Get(arn); ok {
			t.Errorf("Get(%q) = %s", arn, p.Name)
		}
	}
}

// TestEffect asks the engine what the policies grant.
func TestEffect(t *testing.T) {
	const secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf"
	tests := []struct {
		policy, action, resource string
		want                     policy.Outcome
	}{
		{"AdministratorAccess", "kms:ScheduleKeyDeletion", "arn:aws:kms:us-east-1:111122223333:key/1", policy.Allow},
		{"SecretsManagerReadWrite", "secretsmanager:PutSecretValue", secret, policy.Allow},
		{"SecretsManagerReadWrite", "iam:CreateUser", "*", policy.ImplicitDeny},
		{"AWSSecretsManagerClientReadOnlyAccess", "secretsmanager:GetSecretValue", secret, policy.Allow},
		{"AWSSecretsManagerClientReadOnlyAccess", "secretsmanager:PutSecretValue", secret, policy.ImplicitDeny},
		{"IAMReadOnlyAccess", "iam:ListUsers", "*", policy.Allow},
		{"IAMReadOnlyAccess", "iam:CreateUser", "*", policy.ImplicitDeny},
		{"AWSKeyManagementServicePowerUser", "kms:CreateKey", "*", policy.Allow},
		{"AWSKeyManagementServicePowerUser", "kms:Decrypt", "arn:aws:kms:us-east-1:111122223333:key/1", policy.ImplicitDeny},
	}
	for _, tt := range tests {
		p, ok := Get("arn:aws:iam::aws:policy/" + tt.policy)
		if !ok {
			t.Errorf("no policy %s", tt.policy)
			continue
		}
		q := &policy.Request{
			Principal: &policy.Principal{Type: policy.User, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/ann"},
			Action:    tt.action, Resource: tt.resource,
		}
		set := &policy.Set{Identity: []policy.Source{{ID: p.ARN, Version: p.Version, Doc: p.Document}}}
		if got := policy.Evaluate(q, set).Outcome; got != tt.want {
			t.Errorf("%s, %s: %s, want %s", tt.policy, tt.action, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const good = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	for name, text := range map[string]string{
		"an ARN of another policy":   `{"A":{"arn":"arn:aws:iam::aws:policy/B","document":` + good + `}}`,
		"a name that is only a tail": `{"A":{"arn":"arn:aws:iam::aws:policy/BA","document":` + good + `}}`,
		"an ARN of an account":       `{"A":{"arn":"arn:aws:iam::111122223333:policy/A","document":` + good + `}}`,
		"an old document":            `{"A":{"arn":"arn:aws:iam::aws:policy/A","document":{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}}}`,
		"an unknown member":          `{"A":{"arn":"arn:aws:iam::aws:policy/A","documents":` + good + `}}`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
