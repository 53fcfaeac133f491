package main_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/iam"
	"github.com/strongroom/strongroom/internal/kms"
	"github.com/strongroom/strongroom/internal/secretsmanager"
	"github.com/strongroom/strongroom/internal/sts"
	"github.com/strongroom/strongroom/internal/wire"
)

// What is generated is tested here, with the real models and through the real
// dispatcher, but without the slices' own code.

type quiet struct{}

func (quiet) Begin(context.Context, *wire.Call) error  { return nil }
func (quiet) Record(context.Context, *wire.Call) error { return nil }
func (quiet) Unverified(*wire.Call, error)             {}

var admin = &aws.Principal{Type: aws.PrincipalUser, Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/admin"}

func (quiet) Authenticate(_ context.Context, c *wire.Call, _ *http.Request, _ []byte) error {
	c.Principal, c.Region = admin, "us-east-1"
	return nil
}

// secrets performs GetSecretValue and TagResource; the embedded nil interface
// performs, by panicking, what no test may reach.
type secrets struct{ secretsmanager.Operations }

func (secrets) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
	wire.CallFrom(ctx).Decide(wire.Decision{Allowed: true})
	return &secretsmanager.GetSecretValueOutput{
		ARN: new("arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-AbCdEf"), Name: in.SecretId,
		VersionId: new("0123456789abcdef0123456789abcdef"), SecretString: new(aws.SensitiveString("hunter2")),
		VersionStages: []string{"AWSCURRENT"}, CreatedDate: aws.NewTime(time.UnixMilli(1712813867123)),
	}, nil
}

func (secrets) TagResource(ctx context.Context, _ *secretsmanager.TagResourceInput) (*secretsmanager.TagResourceOutput, error) {
	wire.CallFrom(ctx).Decide(wire.Decision{Allowed: true})
	return &secretsmanager.TagResourceOutput{}, nil
}

type caller struct{ sts.Operations }

func (caller) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	p := wire.CallFrom(ctx).Principal
	return &sts.GetCallerIdentityOutput{UserId: new("AIDAEXAMPLE"), Account: &p.Account, Arn: &p.ARN}, nil
}

type keys struct{ kms.Operations }

type users struct{ iam.Operations }

func (users) ListUsers(ctx context.Context, _ *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	wire.CallFrom(ctx).Decide(wire.Decision{Allowed: true})
	return &iam.ListUsersOutput{Users: []iam.User{}, IsTruncated: new(false)}, nil
}

func handler() http.Handler {
	g := wire.NewRegistry(wire.Config{Recorder: quiet{}, Log: slog.New(slog.DiscardHandler)})
	secretsmanager.Register(g, secrets{})
	kms.Register(g, keys{})
	iam.Register(g, users{})
	sts.Register(g, caller{})
	return g.Handler(quiet{}, wire.Limits{})
}

func call(h http.Handler, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if target == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestAnswers(t *testing.T) {
	h := handler()
	tests := []struct{ name, target, body, want string }{
		{"GetSecretValue", "secretsmanager.GetSecretValue", `{"SecretId":"db/app"}`,
			`{"ARN":"arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-AbCdEf","Name":"db/app","VersionId":"0123456789abcdef0123456789abcdef",` +
				`"SecretString":"hunter2","VersionStages":["AWSCURRENT"],"CreatedDate":1712813867.123}`},
		{"TagResource has no body", "secretsmanager.TagResource", `{"SecretId":"db/app","Tags":[]}`, ""},
		{"RotateSecret is not built", "secretsmanager.RotateSecret", `{"SecretId":"db/app"}`, `{"__type":"UnknownOperationException"}`},
		{"ListUsers, none", "", "Action=ListUsers&Version=2010-05-08",
			`<ListUsersResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListUsersResult><Users/><IsTruncated>false</IsTruncated></ListUsersResult>` +
				`<ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></ListUsersResponse>`},
		{"GetCallerIdentity", "", "Action=GetCallerIdentity&Version=2011-06-15",
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><UserId>AIDAEXAMPLE</UserId>` +
				`<Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/admin</Arn></GetCallerIdentityResult>` +
				`<ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
	}
	for _, tt := range tests {
		rec := call(h, tt.target, tt.body)
		if got := strings.ReplaceAll(rec.Body.String(), rec.Header().Get("X-Amzn-Requestid"), "ID"); got != tt.want {
			t.Errorf("%s: %d\ngot  %s\nwant %s", tt.name, rec.Code, got, tt.want)
		}
	}
}

// TestValidation compares sentences with recorded ones (errors-secretsmanager.tsv,
// kms.md 1 and 5, iam-sts.md 1 and 3.2) and, where none is recorded, with the form
// of spec secretsmanager.md 1.7.
func TestValidation(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	const is = " failed to satisfy constraint: "
	tests := []struct{ name, target, body, want string }{
		{"secretBinary too long", "secretsmanager.CreateSecret", `{"Name":"x","SecretBinary":"` + strings.Repeat("AAAA", 21846) + `"}`,
			"1 validation error detected: Value at 'secretBinary'" + is + "Member must have length less than or equal to 65536"},
		{"secretString too long in bytes", "secretsmanager.CreateSecret", `{"Name":"x","SecretString":"` + strings.Repeat("é", 32768) + `a"}`,
			"1 validation error detected: Value at 'secretString'" + is + "Member must have length less than or equal to 65536"},
		{"secretString empty", "secretsmanager.CreateSecret", `{"Name":"x","SecretString":""}`,
			"1 validation error detected: Value at 'secretString'" + is + "Member must have length greater than or equal to 1"},
		{"secretId missing", "secretsmanager.GetSecretValue", `{}`, "1 validation error detected: Value null at 'secretId'" + is + "Member must not be null"},
		{"secretId null", "secretsmanager.GetSecretValue", `{"SecretId":null}`, "1 validation error detected: Value null at 'secretId'" + is + "Member must not be null"},
		{"token too short", "secretsmanager.CreateSecret", `{"Name":"x","ClientRequestToken":"short"}`,
			"1 validation error detected: Value 'short' at 'clientRequestToken'" + is + "Member must have length greater than or equal to 32"},
		{"token too long", "secretsmanager.CreateSecret", `{"Name":"x","ClientRequestToken":"` + long(65) + `"}`,
			"1 validation error detected: Value '" + long(65) + "' at 'clientRequestToken'" + is + "Member must have length less than or equal to 64"},
		{"rotation token keeps quiet", "secretsmanager.PutSecretValue", `{"SecretId":"x","RotationToken":"hunter2"}`,
			"1 validation error detected: Value at 'rotationToken'" + is + "Member must have length greater than or equal to 36"},
		{"passwordLength", "secretsmanager.GetRandomPassword", `{"PasswordLength":4097}`,
			"1 validation error detected: Value '4097' at 'passwordLength'" + is + "Member must have value less than or equal to 4096"},
		{"filter key", "secretsmanager.ListSecrets", `{"Filters":[{"Key":"x","Values":["a"]}]}`,
			"1 validation error detected: Value 'x' at 'filters.1.member.key'" + is +
				"Member must satisfy enum value set: [description, name, tag-key, tag-value, primary-region, owning-service, all]"},
		{"filter values", "secretsmanager.ListSecrets", `{"Filters":[{"Key":"all","Values":[]}]}`,
			"1 validation error detected: Value '[]' at 'filters.1.member.values'" + is + "Member must have length greater than or equal to 1"},
		{"region", "secretsmanager.CreateSecret", `{"Name":"x","AddReplicaRegions":[{"Region":"Mars"}]}`,
			"1 validation error detected: Value 'Mars' at 'addReplicaRegions.1.member.region'" + is + `Member must satisfy regular expression pattern: ^([a-z]+-)+\d+$`},
		{"two at once", "secretsmanager.PutResourcePolicy", `{}`,
			"2 validation errors detected: Value null at 'secretId'" + is + "Member must not be null; Value null at 'resourcePolicy'" + is + "Member must not be null"},
		{"plaintext too long", "TrentService.Encrypt", `{"KeyId":"k","Plaintext":"` + strings.Repeat("AAAA", 1366) + `"}`,
			"1 validation error detected: Value at 'plaintext'" + is + "Member must have length less than or equal to 4096"},
		{"plaintext empty", "TrentService.Encrypt", `{"KeyId":"k","Plaintext":""}`,
			"1 validation error detected: Value at 'plaintext'" + is + "Member must have length greater than or equal to 1"},
		{"tag key too long", "TrentService.CreateKey", `{"Tags":[{"TagKey":"` + long(129) + `","TagValue":"v"}]}`,
			"1 validation error detected: Value '" + long(129) + "' at 'tags.1.member.tagKey'" + is + "Member must have length less than or equal to 128"},
		{"number of bytes", "TrentService.GenerateDataKey", `{"KeyId":"k","NumberOfBytes":0}`,
			"1 validation error detected: Value '0' at 'numberOfBytes'" + is + "Member must have value greater than or equal to 1"},
		{"context with U+0000", "TrentService.Encrypt", `{"KeyId":"k","Plaintext":"AAAA","EncryptionContext":{"a":"\u0000"}}`,
			"1 validation error detected: Value at 'encryptionContext'" + is + `Member must satisfy regular expression pattern: [^\u0000]*`},
		{"too many tags", "", "Action=CreateUser&Version=2010-05-08&UserName=bob" + tags(51),
			"1 validation error detected: Value at 'tags'" + is + "Member must have length less than or equal to 50"},
		{"user name", "", "Action=CreateUser&Version=2010-05-08&UserName=b%20b",
			`1 validation error detected: Value at 'userName'` + is + `Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		{"user name missing", "", "Action=CreateUser&Version=2010-05-08", "1 validation error detected: Value at 'userName'" + is + "Member must not be null"},
		{"path", "", "Action=CreateUser&Version=2010-05-08&UserName=bob&Path=x",
			`1 validation error detected: Value at 'path'` + is + `Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)`},
	}
	h := handler()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := call(h, tt.target, tt.body)
			want := `{"__type":"ValidationException","message":"` + strings.ReplaceAll(tt.want, `\`, `\\`) + `"}`
			got := rec.Body.String()
			if tt.target == "" {
				want = "<Type>Sender</Type><Code>ValidationError</Code><Message>" + tt.want + "</Message>"
				if _, after, ok := strings.Cut(got, "<Error>"); ok {
					got, _, _ = strings.Cut(after, "</Error>")
				}
			}
			if got != want || rec.Code != 400 {
				t.Errorf("%d\ngot  %s\nwant %s", rec.Code, got, want)
			}
		})
	}
}

func tags(n int) string {
	var b strings.Builder
	for i := range n {
		s := string(rune('A'+i%26)) + strings.Repeat("x", i/26)
		b.WriteString("&Tags.member." + strconv.Itoa(i+1) + ".Key=" + s + "&Tags.member." + strconv.Itoa(i+1) + ".Value=v")
	}
	return b.String()
}

// TestLimitsAreReached pins that what is just allowed passes, through every bound
// on the way.
func TestLimitsAreReached(t *testing.T) {
	for name, in := range map[string]interface{ Validate(*wire.Validation) }{
		"65,536 bytes of text": &secretsmanager.PutSecretValueInput{SecretId: new("x"), SecretString: new(aws.SensitiveString(strings.Repeat("é", 32768)))},
		"65,536 bytes":         &secretsmanager.PutSecretValueInput{SecretId: new("x"), SecretBinary: make([]byte, 65536)},
		"2,048 characters":     &secretsmanager.UpdateSecretInput{SecretId: new(strings.Repeat("é", 2048)), Description: new("")},
	} {
		var v wire.Validation
		in.Validate(&v)
		if err := v.Err(&secretsmanager.API); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The largest value in its longest spelling fits into the default body limit.
	h := handler()
	body := `{"SecretId":"x","Tags":[],"Unknown":"` + strings.Repeat(`\u0001`, 65536) + `"}`
	if rec := call(h, "secretsmanager.TagResource", body); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestErrors pins codes and statuses of constructors against the specs.
func TestErrors(t *testing.T) {
	tests := []struct {
		err    *aws.Error
		code   string
		status int
	}{
		{secretsmanager.ErrResourceNotFound("x"), "ResourceNotFoundException", 400},
		{secretsmanager.ErrInvalidRequest("x"), "InvalidRequestException", 400},
		{secretsmanager.ErrInvalidParameter("x"), "InvalidParameterException", 400},
		{secretsmanager.ErrResourceExists("x"), "ResourceExistsException", 400},
		{secretsmanager.ErrDecryptionFailure("x"), "DecryptionFailure", 400},
		{secretsmanager.ErrInternalServiceError("x"), "InternalServiceError", 500},
		{secretsmanager.ErrPublicPolicy("x"), "PublicPolicyException", 400},
		{kms.ErrNotFound("x"), "NotFoundException", 400},
		{kms.ErrKMSInternal("x"), "KMSInternalException", 500},
		{kms.ErrDependencyTimeout("x"), "DependencyTimeoutException", 500},
		{iam.ErrNoSuchEntity("x"), "NoSuchEntity", 404},
		{iam.ErrEntityAlreadyExists("x"), "EntityAlreadyExists", 409},
		{iam.ErrDeleteConflict("x"), "DeleteConflict", 409},
		{iam.ErrLimitExceeded("x"), "LimitExceeded", 409},
		{iam.ErrMalformedPolicyDocument("x"), "MalformedPolicyDocument", 400},
		{iam.ErrServiceFailure("x"), "ServiceFailure", 500},
		{iam.ErrValidation("x"), "ValidationError", 400},
		{secretsmanager.ErrValidation("x"), "ValidationException", 400},
	}
	for _, tt := range tests {
		if tt.err.Code != tt.code || tt.err.HTTPStatus() != tt.status || tt.err.Message != "x" {
			t.Errorf("%+v, want %s %d", tt.err, tt.code, tt.status)
		}
	}
	if e := kms.ErrInvalidCiphertext(); !e.Bare || e.Code != "InvalidCiphertextException" {
		t.Errorf("%+v", e)
	}
	if e := iam.ErrNoSuchEntity("The user with name %s cannot be found.", "100%"); e.Message != "The user with name 100% cannot be found." {
		t.Error(e)
	}
}

// TestOperationTable pins the facts that the models do not hold.
func TestOperationTable(t *testing.T) {
	info := func(s *wire.Service, name string) wire.OperationInfo {
		for _, o := range s.Operations {
			if o.Name == name {
				return o
			}
		}
		t.Fatalf("no %s", name)
		return wire.OperationInfo{}
	}
	for name, want := range map[string]bool{"GetSecretValue": true, "BatchGetSecretValue": true, "ListSecrets": true, "GetRandomPassword": true,
		"ValidateResourcePolicy": true, "DescribeSecret": true, "PutSecretValue": false, "DeleteSecret": false, "TagResource": false} {
		if got := info(&secretsmanager.API, name).ReadOnly; got != want {
			t.Errorf("%s: read only %v", name, got)
		}
	}
	if !info(&kms.API, "Decrypt").ReadOnly || info(&kms.API, "CreateKey").ReadOnly {
		t.Error("kms: read only")
	}
	if o := info(&secretsmanager.API, "RotateSecret"); o.Built {
		t.Error("RotateSecret is built")
	}
	if o := info(&secretsmanager.API, "CreateSecret"); o.IdempotencyToken != "ClientRequestToken" || o.EmptyBody {
		t.Errorf("%+v", o)
	}
	for _, s := range []*wire.Service{&secretsmanager.API, &kms.API, &iam.API, &sts.API} {
		for _, o := range s.Operations {
			if o.NoAuthorization != (o.Name == "GetCallerIdentity" || o.Name == "GetSessionToken") {
				t.Errorf("%s: no authorization %v", o.Name, o.NoAuthorization)
			}
		}
		want := 5 * time.Minute
		if s.Global {
			want = 15 * time.Minute
		}
		if s.ClockSkew != want || s.Global != (s.Protocol == wire.Query) {
			t.Errorf("%s: %+v", s.Name, s.ClockSkew)
		}
	}
}

// TestSensitiveMembers walks all generated types: what is a secret by name must
// be so by type.
func TestSensitiveMembers(t *testing.T) {
	for _, v := range []any{secretsmanager.CreateSecretInput{}, secretsmanager.PutSecretValueInput{}, secretsmanager.UpdateSecretInput{},
		secretsmanager.GetSecretValueOutput{}, secretsmanager.SecretValueEntry{}, secretsmanager.GetRandomPasswordOutput{},
		kms.EncryptInput{}, kms.DecryptOutput{}, kms.GenerateDataKeyOutput{}, iam.AccessKey{},
		sts.Credentials{}, sts.AssumeRoleInput{}, sts.GetSessionTokenInput{}, sts.AssumeRoleWithWebIdentityInput{}} {
		found := false
		for f := range reflect.TypeOf(v).Fields() {
			typ := f.Type
			if typ.Kind() == reflect.Pointer {
				typ = typ.Elem()
			}
			sensitive := strings.HasPrefix(typ.Name(), "Sensitive")
			found = found || sensitive
			switch f.Name {
			case "SecretString", "SecretBinary", "RotationToken", "RandomPassword", "Plaintext", "SecretAccessKey", "SessionToken", "TokenCode", "WebIdentityToken":
				if !sensitive {
					t.Errorf("%T.%s is shown", v, f.Name)
				}
			}
		}
		if !found {
			t.Errorf("%T hides nothing", v)
		}
	}
}

func TestRequestParametersOfSecrets(t *testing.T) {
	c := &wire.Call{Input: &secretsmanager.CreateSecretInput{Name: new("db/app"), ClientRequestToken: new("t"), KmsKeyId: new("k"),
		SecretString: new(aws.SensitiveString("hunter2")), SecretBinary: aws.SensitiveBytes("hunter2"), ForceOverwriteReplicaSecret: new(false)}}
	if got := string(c.RequestParameters()); got != `{"name":"db/app","clientRequestToken":"t","kmsKeyId":"k","forceOverwriteReplicaSecret":false}` {
		t.Error(got)
	}
	c.Input = &kms.DecryptInput{CiphertextBlob: []byte("x"), KeyId: new("k"), EncryptionContext: map[string]string{"SecretARN": "a"}}
	if got := string(c.RequestParameters()); got != `{"encryptionContext":{"SecretARN":"a"},"keyId":"k"}` {
		t.Error(got)
	}
}

// discard is a response writer that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// BenchmarkGetSecretValue is a whole call: recognise, decode, check, run, encode.
func BenchmarkGetSecretValue(b *testing.B) {
	h := handler()
	const body = `{"SecretId":"db/app","VersionStage":"AWSCURRENT"}`
	reader := strings.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(reader))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	w := discard{make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		h.ServeHTTP(w, r)
	}
}

// TestConcurrentCalls is for the race detector: calls share buffers, ids and
// shapes.
func TestConcurrentCalls(t *testing.T) {
	h := handler()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if rec := call(h, "secretsmanager.GetSecretValue", `{"SecretId":"db/app"}`); !strings.Contains(rec.Body.String(), `"SecretString":"hunter2"`) {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
				if rec := call(h, "", "Action=GetCallerIdentity&Version=2011-06-15"); !strings.Contains(rec.Body.String(), "AIDAEXAMPLE") {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			}
		})
	}
	wg.Wait()
}

// TestSensitiveMembersNeverPrint puts a blob and a text where package fmt does not
// ask them for their form: below a pointer whose verb does not fit.
func TestSensitiveMembersNeverPrint(t *testing.T) {
	const value = "hunter2-canary"
	text := new(aws.SensitiveString(value))
	put := secretsmanager.PutSecretValueInput{SecretId: new("a"), SecretString: text, SecretBinary: aws.SensitiveBytes(value)}
	batch := secretsmanager.BatchGetSecretValueOutput{SecretValues: []secretsmanager.SecretValueEntry{{SecretString: text, SecretBinary: aws.SensitiveBytes(value)}}}
	key := iam.CreateAccessKeyOutput{AccessKey: &iam.AccessKey{SecretAccessKey: text}}
	encrypt := kms.EncryptInput{Plaintext: aws.SensitiveBytes(value)}
	for _, v := range []any{
		put, &put, &batch, batch.SecretValues, &key, &encrypt,
		struct {
			P *secretsmanager.PutSecretValueInput
		}{&put},
		&struct {
			V secretsmanager.PutSecretValueInput
		}{put},
		struct {
			N *int
			P any
		}{new(int), &encrypt},
		[]*kms.EncryptInput{&encrypt}, map[string]any{"x": &batch}, []any{&put, batch, &key},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%!", "%e", "%U"} {
			out := fmt.Sprintf(verb, v) + fmt.Sprintf("%*d "+verb, v, v)
			for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), "104 117 110", "'h' 'u'", "U+0068"} {
				if strings.Contains(out, form) {
					t.Errorf("%s of %T shows %q", verb, v, form)
				}
			}
		}
	}
}
