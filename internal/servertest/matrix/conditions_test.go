package matrix

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/servertest"
)

// fact is what a condition key must say of a call: conditions under which a Deny
// must not match, and one under which it must.
type fact struct{ never, control []string }

func condition(operator, key, value string) string {
	return fmt.Sprintf(`{%q:{%q:%q}}`, operator, key, value)
}

// is says that a key is there with a value.
func is(key, value string) fact {
	return fact{[]string{condition("StringNotEquals", key, value)}, []string{condition("StringNotEquals", key, value+"x")}}
}

// has is is for a key of many values: these, and no others.
func has(key string, values ...string) fact {
	list, _ := json.Marshal(values)
	f := fact{never: []string{fmt.Sprintf(`{"ForAnyValue:StringNotEquals":{%q:%s}}`, key, list)}}
	for _, v := range values {
		f.never = append(f.never, condition("ForAllValues:StringNotEquals", key, v))
	}
	f.control = []string{condition("ForAllValues:StringNotEquals", key, "another")}
	return f
}

// none says that a key is not there.
func none(key string) fact {
	return fact{[]string{condition("Null", key, "false")}, []string{condition("Null", key, "true")}}
}

// between says that a key is a time that is not before one and not behind another.
func between(key string, from, to time.Time) fact {
	iso := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
	return fact{
		[]string{condition("Null", key, "true"), condition("DateLessThan", key, iso(from)), condition("DateGreaterThan", key, iso(to))},
		[]string{condition("DateGreaterThan", key, iso(from.Add(-time.Hour))), condition("DateLessThan", key, iso(to.Add(time.Hour)))},
	}
}

// TestGlobalConditionKeys goes through spec iam-policy-evaluation.md 6, key by key,
// for each kind of caller, on the public listener and through a private endpoint,
// and for the call to KMS that reading a secret makes. A Deny on the secret, or on
// the key, asks for what must be so; a second one, which must match, shows that it
// was asked at all.
func TestGlobalConditionKeys(t *testing.T) {
	const vpc, vpce, name = "vpc-0a1b2c3d4e5f60718", "vpce-0123456789abcdef0", "probed"
	w := &world{t: t, callers: map[callerKey]*caller{}, through: map[effect]*servertest.Server{}}
	issuer := servertest.NewIssuer(t)
	w.s = servertest.Start(t, issuer.Trusted(), servertest.Config(func(c *config.Config) {
		c.Network.VPCs = []config.VPC{{ID: vpc}}
		c.Network.Endpoints = []config.Endpoint{{ID: vpce, VPC: vpc, Listen: []string{"127.0.0.1:0"}, DNSNames: []string{endpointName}}}
	}))
	through := w.by(vpce)
	key, err := w.s.KMS("").CreateKey(t.Context(), &kms.CreateKeyInput{})
	check(t, err)
	made, err := w.s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String("v"),
		KmsKeyId: key.KeyMetadata.KeyId, Tags: []smtypes.Tag{{Key: aws.String("app"), Value: aws.String("billing")}}})
	check(t, err)

	// refused puts a policy with a Deny under a condition and reports whether a
	// caller meets it.
	statement := func(condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + servertest.Account + `"},"Action":["kms:*","secretsmanager:*"],"Resource":"*"},` +
			`{"Effect":"Allow","Principal":"*","Action":["kms:Decrypt","secretsmanager:GetSecretValue"],"Resource":"*"},` +
			`{"Effect":"Deny","Principal":"*","Action":["kms:Decrypt","secretsmanager:GetSecretValue"],"Resource":"*","Condition":` + condition + `}]}`
	}
	onSecret := func(condition string) {
		_, err := w.s.Secrets().PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: made.ARN, ResourcePolicy: aws.String(statement(condition))})
		check(t, err)
	}
	onKey := func(condition string) {
		_, err := w.s.KMS("").PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyMetadata.KeyId, Policy: aws.String(statement(condition))})
		check(t, err)
	}
	probe := func(t *testing.T, c *caller, s *servertest.Server, put func(string), facts []fact) {
		refused := func(condition string) bool {
			put(condition)
			defer put(condition0)
			answer := s.Send(t, servertest.Raw{Service: "secretsmanager", Target: "secretsmanager.GetSecretValue", Body: `{"SecretId":"` + *made.ARN + `"}`,
				Key: c.key, Before: func(r *http.Request) {
					r.Header.Set("User-Agent", "probe/1")
					r.Header.Set("Referer", "https://example.com/")
				}})
			code, message := answer.Error()
			if code != "" && code != "AccessDeniedException" {
				t.Fatalf("%s %s", code, message)
			}
			return code != ""
		}
		for _, f := range facts {
			for _, c := range f.never {
				if refused(c) {
					t.Errorf("%s holds", c)
				}
			}
			for _, c := range f.control {
				if !refused(c) {
					t.Errorf("%s does not hold", c)
				}
			}
		}
	}

	begun := time.Now().Add(-2 * time.Second)
	later := func() time.Time { return time.Now().Add(10 * time.Minute) }
	public := []fact{is("aws:SourceIp", "127.0.0.1"), none("aws:VpcSourceIp"), none("aws:SourceVpc"), none("aws:SourceVpce"), none("aws:SourceVpcArn"), none("aws:VpceAccount")}
	private := []fact{none("aws:SourceIp"), is("aws:VpcSourceIp", "127.0.0.1"), is("aws:SourceVpc", vpc), is("aws:SourceVpce", vpce),
		is("aws:SourceVpcArn", "arn:aws:ec2:us-east-1:"+servertest.Account+":vpc/"+vpc), is("aws:VpceAccount", servertest.Account)}
	always := []fact{
		is("aws:PrincipalAccount", servertest.Account), is("aws:PrincipalIsAWSService", "false"), is("aws:SecureTransport", "true"),
		between("aws:CurrentTime", begun, later()), between("aws:EpochTime", begun, later()), is("aws:RequestedRegion", servertest.Region),
		is("aws:ResourceAccount", servertest.Account), is("aws:ResourceTag/app", "billing"), is("secretsmanager:ResourceTag/app", "billing"), none("aws:ResourceTag/other"),
		is("aws:ViaAWSService", "false"), none("aws:CalledVia"), none("aws:CalledViaFirst"), none("aws:CalledViaLast"),
		is("aws:UserAgent", "probe/1"), is("aws:referer", "https://example.com/"),
		none("aws:PrincipalServiceName"), none("aws:PrincipalServiceNamesList"), none("aws:SourceAccount"), none("aws:SourceArn"), none("aws:SourceOwner"),
		none("aws:PrincipalOrgID"), none("aws:PrincipalOrgPaths"), none("aws:RequestTag/app"), none("aws:TagKeys"),
		none("kms:ViaService"), none("kms:CallerAccount"),
	}
	nested := []fact{
		is("aws:PrincipalAccount", servertest.Account), is("aws:ViaAWSService", "true"), has("aws:CalledVia", "secretsmanager.amazonaws.com"),
		is("aws:CalledViaFirst", "secretsmanager.amazonaws.com"), is("aws:CalledViaLast", "secretsmanager.amazonaws.com"),
		is("kms:ViaService", "secretsmanager.us-east-1.amazonaws.com"), is("kms:CallerAccount", servertest.Account),
		is("kms:EncryptionContext:SecretARN", *made.ARN), has("kms:EncryptionContextKeys", "SecretARN", "SecretVersionId"),
		is("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"), is("kms:KeySpec", "SYMMETRIC_DEFAULT"), none("aws:ResourceTag/app"), none("kms:RequestAlias"),
		none("aws:SourceIp"), none("aws:VpcSourceIp"), none("aws:SourceVpc"), none("aws:SourceVpce"), is("aws:PrincipalIsAWSService", "false"), none("aws:SourceArn"),
		is("aws:RequestedRegion", servertest.Region), is("aws:SecureTransport", "true"), is("aws:UserAgent", "probe/1"),
	}
	for _, who := range w.probed(t, issuer, begun) {
		t.Run(who.name, func(t *testing.T) {
			onKey(condition0)
			probe(t, &who.caller, w.s, onSecret, append(append(who.facts, always...), public...))
			probe(t, &who.caller, through, onSecret, append(who.facts[:len(who.facts):len(who.facts)], private...))
			for _, s := range []*servertest.Server{w.s, through} {
				probe(t, &who.caller, s, onKey, append(who.facts[:len(who.facts):len(who.facts)], nested...))
			}
		})
	}
}

// condition0 holds for nobody.
var condition0 = condition("StringEquals", "aws:PrincipalAccount", "nobody's")

// probed is a caller with what is true of it.
type probed struct {
	name   string
	caller caller
	facts  []fact
}

// probed makes one caller of each kind.
func (w *world) probed(t *testing.T, issuer *servertest.Issuer, begun time.Time) []probed {
	const account = servertest.Account
	tag := []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}, {Key: aws.String("stage"), Value: aws.String("prod")}}
	client := w.s.IAM()
	user, err := client.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("ann"), Path: aws.String("/dept/"), Tags: tag})
	check(t, err)
	w.s.SetPolicy(t, w.s.Admin, "ann", document(allows, ""))
	made, err := client.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("ann")})
	check(t, err)
	ann := caller{arn: *user.User.Arn}
	ann.key.AccessKeyID, ann.key.SecretAccessKey = *made.AccessKey.AccessKeyId, *made.AccessKey.SecretAccessKey

	trust := servertest.Trust(account, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
	role, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("app"), Path: aws.String("/dept/"), AssumeRolePolicyDocument: &trust, Tags: tag})
	check(t, err)
	_, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p"), PolicyDocument: aws.String(document(allows, ""))})
	check(t, err)

	session := func(made *ststypes.Credentials) caller { return caller{key: servertest.Session(made)} }
	sessionTag := []ststypes.Tag{{Key: aws.String("stage"), Value: aws.String("test")}}
	own := sts.NewFromConfig(w.s.AWS(ann.key, ""))
	plain, err := own.GetSessionToken(t.Context(), nil)
	check(t, err)
	joe, err := own.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("joe"), Policy: aws.String(document(allows, "")), Tags: sessionTag})
	check(t, err)
	taken, err := own.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("web-1"), SourceIdentity: aws.String("ann"), Tags: sessionTag})
	check(t, err)
	proved := w.withFactor(t, own)
	provider, pod := w.pod(t, issuer)

	longTerm := []fact{none("aws:TokenIssueTime"), none("aws:MultiFactorAuthPresent"), none("aws:MultiFactorAuthAge"), none("aws:SourceIdentity"), none("aws:FederatedProvider")}
	issued := between("aws:TokenIssueTime", begun, time.Now().Add(time.Second))
	temporary := []fact{issued, is("aws:MultiFactorAuthPresent", "false"), none("aws:MultiFactorAuthAge")}
	unvouched := append(temporary[:len(temporary):len(temporary)], none("aws:FederatedProvider"))
	ofUser := []fact{is("aws:PrincipalArn", ann.arn), is("aws:PrincipalType", "User"), is("aws:userid", *user.User.UserId), is("aws:username", "ann"),
		is("aws:PrincipalTag/team", "blue"), is("aws:PrincipalTag/stage", "prod"), none("aws:PrincipalTag/other")}
	return []probed{
		{"root", caller{key: rootKey(t, w.s, account)}, append([]fact{is("aws:PrincipalArn", "arn:aws:iam::"+account+":root"), is("aws:PrincipalType", "Account"), is("aws:userid", account),
			none("aws:username"), none("aws:PrincipalTag/team")}, longTerm...)},
		{"user", ann, append(ofUser, longTerm...)},
		{"session of a user", session(plain.Credentials), append(append(ofUser[:len(ofUser):len(ofUser)], none("aws:SourceIdentity")), unvouched...)},
		{"session of a user with a second factor", session(proved), append(ofUser[:len(ofUser):len(ofUser)], issued, is("aws:MultiFactorAuthPresent", "true"), fact{
			[]string{condition("Null", "aws:MultiFactorAuthAge", "true"), condition("NumericGreaterThan", "aws:MultiFactorAuthAge", "600"), condition("NumericLessThan", "aws:MultiFactorAuthAge", "0")},
			[]string{condition("NumericLessThan", "aws:MultiFactorAuthAge", "600")},
		})},
		{"federated user", session(joe.Credentials), append([]fact{is("aws:PrincipalArn", "arn:aws:sts::"+account+":federated-user/joe"), is("aws:PrincipalType", "FederatedUser"),
			is("aws:userid", account+":joe"), none("aws:username"), is("aws:PrincipalTag/stage", "test"), none("aws:SourceIdentity")}, unvouched...)},
		{"role session", session(taken.Credentials), append([]fact{is("aws:PrincipalArn", *role.Role.Arn), is("aws:PrincipalType", "AssumedRole"),
			is("aws:userid", *role.Role.RoleId+":web-1"), none("aws:username"), is("aws:PrincipalTag/team", "blue"), is("aws:PrincipalTag/stage", "test"),
			is("aws:SourceIdentity", "ann")}, unvouched...)},
		{"role session of a web identity", session(pod.Credentials), append([]fact{is("aws:PrincipalArn", "arn:aws:iam::"+account+":role/pod"), is("aws:PrincipalType", "AssumedRole"),
			is("aws:FederatedProvider", provider), none("aws:username"), none("aws:SourceIdentity"), none("aws:PrincipalTag/team")}, temporary...)},
	}
}

// withFactor makes a session of a user that shows a second factor.
func (w *world) withFactor(t *testing.T, own *sts.Client) *ststypes.Credentials {
	device, err := w.s.IAM().CreateVirtualMFADevice(t.Context(), &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: aws.String("phone")})
	check(t, err)
	seed, err := base32.StdEncoding.DecodeString(string(device.VirtualMFADevice.Base32StringSeed))
	check(t, err)
	now := time.Now()
	code := func(step time.Duration) *string {
		return aws.String(servertest.TOTP(seed, now.Add(30*time.Second*step)))
	}
	serial := device.VirtualMFADevice.SerialNumber
	_, err = w.s.IAM().EnableMFADevice(t.Context(), &iam.EnableMFADeviceInput{UserName: aws.String("ann"), SerialNumber: serial, AuthenticationCode1: code(-1), AuthenticationCode2: code(0)})
	check(t, err)
	out, err := own.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{SerialNumber: serial, TokenCode: code(1)})
	check(t, err)
	return out.Credentials
}

// pod takes a role with the token of a provider.
func (w *world) pod(t *testing.T, issuer *servertest.Issuer) (provider string, out *sts.AssumeRoleWithWebIdentityOutput) {
	made, err := w.s.IAM().CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	check(t, err)
	provider = *made.OpenIDConnectProviderArn
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity"}}`
	role := w.s.Role(t, w.s.Admin, "pod", trust, document(allows, ""))
	anonymous := w.s.AWS(w.s.Admin, "")
	anonymous.Credentials = aws.AnonymousCredentials{}
	out, err = sts.NewFromConfig(anonymous).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: &role, RoleSessionName: aws.String("pod-1"), WebIdentityToken: aws.String(issuer.Token(t, time.Now(), nil)),
	})
	check(t, err)
	return provider, out
}
