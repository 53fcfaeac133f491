package catalog

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEverythingIsThere compares the tables with the model, read in another way
// than the generator's.
func TestEverythingIsThere(t *testing.T) {
	src, err := os.ReadFile("../../models/authorization.json")
	if err != nil {
		t.Fatal(err)
	}
	var model map[string]struct {
		Actions map[string]struct {
			Access    string
			Resources map[string]struct {
				Required      bool
				ConditionKeys []string
			}
			ConditionKeys []string
		}
		ResourceTypes map[string]struct {
			ARN           string
			ConditionKeys []string
		}
		ConditionKeys map[string]string
	}
	if err := json.Unmarshal(src, &model); err != nil {
		t.Fatal(err)
	}
	prefixes := slices.Collect(Services())
	if len(prefixes) != len(model) || len(model) != 12 {
		t.Errorf("services %v", prefixes)
	}
	count := 0
	for prefix, service := range model {
		for name, want := range service.Actions {
			count++
			full := prefix + ":" + name
			a, ok := Lookup(strings.ToUpper(full))
			if !ok || a.Name() != full || a.Access().String() != want.Access {
				t.Errorf("%s: found %v, access %s", full, ok, a.Access())
				continue
			}
			keys := slices.Clone(want.ConditionKeys)
			var types []string
			for r := range a.ResourceTypes() {
				types = append(types, r.Name())
				if model := service.ResourceTypes[r.Name()]; r.ARN() != model.ARN || a.Requires(r) != want.Resources[r.Name()].Required {
					t.Errorf("%s: resource type %s %s", full, r.Name(), r.ARN())
				}
			}
			for name, r := range want.Resources {
				keys = append(keys, r.ConditionKeys...)
				for _, k := range service.ResourceTypes[name].ConditionKeys {
					// What tags a request sets is not a matter of the resource.
					if k != "aws:TagKeys" && k != "aws:RequestTag/${TagKey}" {
						keys = append(keys, k)
					}
				}
				if !slices.Contains(types, name) {
					t.Errorf("%s: no resource type %s", full, name)
				}
			}
			if len(types) != len(want.Resources) || a.HasResources() != (len(types) > 0) {
				t.Errorf("%s: resource types %v", full, types)
			}
			slices.Sort(keys)
			var got []string
			for k := range a.Keys() {
				got = append(got, k.Name())
				kind := k.Type().String()
				if k.Multi() {
					kind = "ArrayOf" + kind
				}
				if kind != service.ConditionKeys[k.Name()] {
					t.Errorf("%s: %s is %s", full, k.Name(), kind)
				}
			}
			slices.Sort(got)
			if keys = slices.Compact(keys); !slices.Equal(got, keys) {
				t.Errorf("%s: keys %v, want %v", full, got, keys)
			}
		}
	}
	if all := len(slices.Collect(Match("*"))); all != count || count < 900 {
		t.Errorf("%d actions of %d", all, count)
	}
}

// TestTablesAreSorted guards the binary searches.
func TestTablesAreSorted(t *testing.T) {
	sorted := func(what string, n int, at func(int) string) {
		for i := 1; i < n; i++ {
			if compareFold(at(i-1), at(i)) >= 0 {
				t.Errorf("%s: %s before %s", what, at(i-1), at(i))
			}
		}
	}
	sorted("services", len(services), func(i int) string { return services[i].prefix })
	sorted("global keys", len(global), func(i int) string { return global[i].name })
	for i := range services {
		s := &services[i]
		sorted(s.prefix, len(s.actions), func(i int) string { return s.actions[i].name })
		sorted(s.prefix, len(s.keys), func(i int) string { return s.keys[i].name })
	}
	for k := range Globals() {
		if fixed, _, variable := strings.Cut(k.Name(), "${"); variable != (k.row.fixed > 0) || variable && int(k.row.fixed) != len(fixed) {
			t.Errorf("%s: fixed part of %d bytes", k.Name(), k.row.fixed)
		}
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"secretsmanager:GetSecretValue": "secretsmanager:GetSecretValue",
		"SecretsManager:getsecretvalue": "secretsmanager:GetSecretValue",
		"kms:decrypt":                   "kms:Decrypt",
		"kms:Decryp":                    "",
		"kms:Decrypts":                  "",
		"kms":                           "",
		"kms:":                          "",
		":Decrypt":                      "",
		"s3:GetObject":                  "",
		"\u212Ams:Decrypt":              "", // KELVIN SIGN is no k
		"secretsmanager:Get*":           "",
	} {
		got := ""
		if a, ok := Lookup(name); ok {
			got = a.Name()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !Known("KMS") || Known("ec2") || Known("") {
		t.Error("known services")
	}
}

func TestMatch(t *testing.T) {
	for pattern, want := range map[string][]string{
		"secretsmanager:?etSecretValue": {"secretsmanager:GetSecretValue"},
		"SECRETSMANAGER:*secretvalue":   {"secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"},
		"sts:Assume*":                   {"sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoot"},
		"*:decrypt":                     {"kms:Decrypt"},
		"s*:*ssume?ole":                 {"sts:AssumeRole"},
		"kms:Decrypt":                   {"kms:Decrypt"},
		"kms":                           nil,
		"":                              nil,
		"ec2:*":                         nil,
	} {
		var got []string
		for a := range Match(pattern) {
			got = append(got, a.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
}

func TestResources(t *testing.T) {
	const secret = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"
	tests := []struct {
		action, text  string
		fits, matches bool
	}{
		{"secretsmanager:GetSecretValue", secret, true, true},
		{"secretsmanager:GetSecretValue", "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a:b", true, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111122223333:secret:", false, false},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111122223333:secret", false, false},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:*:*:secret:*", true, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:*", false, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:*:*:prod*", false, false},
		{"secretsmanager:GetSecretValue", "arn:*:secretsmanager:*:*:s?cret:${aws:PrincipalTag/team}/*", false, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111122223333:${aws:username}", false, true},
		{"secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111122223333:${*}", false, false},
		{"secretsmanager:GetSecretValue", "arn:aws:s3:::bucket", false, false},
		{"secretsmanager:GetSecretValue", "arn:aws:kms:us-east-1:111122223333:key/1", false, false},
		{"secretsmanager:GetSecretValue", "*", false, true},
		{"secretsmanager:GetSecretValue", "prod/db", false, false},
		{"secretsmanager:ListSecrets", "*", false, true},
		{"secretsmanager:ListSecrets", secret, false, false},
		{"kms:CreateAlias", "arn:aws:kms:us-east-1:111122223333:alias/a", true, true},
		{"kms:CreateAlias", "arn:aws:kms:us-east-1:111122223333:key/a", true, true},
		{"kms:Decrypt", "arn:aws:kms:us-east-1:111122223333:alias/a", false, false},
		{"kms:Decrypt", "arn:aws:kms:us-east-1:111122223333:*a", false, true},
		{"iam:GetUser", "arn:aws:iam::111122223333:user/team/ann", true, true},
		{"iam:GetUser", "arn:aws:iam:us-east-1:111122223333:user/ann", false, false},
		{"iam:GetUser", "arn:aws:iam::111122223333:role/ann", false, false},
		{"iam:AttachUserPolicy", "arn:aws:iam::111122223333:user/*", true, true},
		{"sts:AssumeRole", "arn:aws:iam::111122223333:role/app", true, true},
	}
	for _, tt := range tests {
		a, ok := Lookup(tt.action)
		if !ok {
			t.Fatalf("no %s", tt.action)
		}
		if got := a.Accepts(tt.text); got != tt.fits {
			t.Errorf("%s accepts %s: %v", tt.action, tt.text, got)
		}
		if got := a.CanMatch(tt.text); got != tt.matches {
			t.Errorf("%s can match %s: %v", tt.action, tt.text, got)
		}
	}
}

// TestOverlap checks the two-pattern comparison against trying all short texts.
func TestOverlap(t *testing.T) {
	var texts []string
	for n := range 4 {
		all := []string{""}
		for range n {
			var longer []string
			for _, s := range all {
				longer = append(longer, s+"a", s+"b")
			}
			all = longer
		}
		texts = append(texts, all...)
	}
	patterns := []string{"", "a", "b", "*", "?", "a*", "*a", "a*b", "?b", "??", "*?", "b*a*", "a?*", "**", "ab", "*ab*"}
	for _, p := range patterns {
		for _, q := range patterns {
			want := false
			for _, s := range texts {
				want = want || glob(p, []byte(s)) && glob(q, []byte(s))
			}
			if got := overlap(elements(p, pattern), elements(q, pattern)); got != want {
				t.Errorf("%s and %s: %v, want %v", p, q, got, want)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	tests := []struct {
		action, key, want string
		kind              Type
		multi             bool
	}{
		{"secretsmanager:GetSecretValue", "secretsmanager:versionstage", "secretsmanager:VersionStage", String, false},
		{"secretsmanager:GetSecretValue", "secretsmanager:ForceDeleteWithoutRecovery", "", 0, false},
		{"secretsmanager:GetSecretValue", "AWS:resourcetag/Team", "aws:ResourceTag/${TagKey}", String, false},
		{"secretsmanager:GetSecretValue", "aws:ResourceTag/", "", 0, false},
		{"secretsmanager:GetSecretValue", "secretsmanager:ResourceTag/team", "secretsmanager:ResourceTag/tag-key", String, false},
		{"secretsmanager:GetSecretValue", "aws:RequestTag/team", "", 0, false},
		{"secretsmanager:CreateSecret", "aws:RequestTag/team", "aws:RequestTag/${TagKey}", String, false},
		{"secretsmanager:CreateSecret", "aws:tagkeys", "aws:TagKeys", String, true},
		{"secretsmanager:DeleteSecret", "secretsmanager:RecoveryWindowInDays", "secretsmanager:RecoveryWindowInDays", Numeric, false},
		{"kms:Decrypt", "kms:EncryptionContext:SecretARN", "kms:EncryptionContext:${EncryptionContextKey}", String, false},
		{"kms:Decrypt", "kms:EncryptionContextKeys", "kms:EncryptionContextKeys", String, true},
		{"kms:Decrypt", "secretsmanager:SecretId", "", 0, false},
		{"kms:Decrypt", "aws:SourceIp", "aws:SourceIp", IP, false},
		{"kms:Decrypt", "aws:PrincipalTag/a:b/c", "aws:PrincipalTag/${TagKey}", String, false},
		{"kms:Decrypt", "aws:MadeUp", "", 0, false},
		{"sts:AssumeRoleWithWebIdentity", "oidc.example.com/id/1:sub", "${Issuer}:${Claim}", String, false},
		{"sts:AssumeRoleWithWebIdentity", "oidc.example.com/id/1:shoe", "", 0, false},
		{"sts:AssumeRole", "oidc.example.com:sub", "", 0, false},
		{"sts:AssumeRole", "sts:ExternalId", "sts:ExternalId", String, false},
		{"sts:AssumeRole", "STS:durationseconds", "sts:DurationSeconds", Numeric, false},
		{"sts:AssumeRoleWithWebIdentity", "sts:DurationSeconds", "sts:DurationSeconds", Numeric, false},
		{"sts:AssumeRoleWithSAML", "sts:DurationSeconds", "", 0, false},
		{"sts:GetSessionToken", "sts:DurationSeconds", "", 0, false},
	}
	for _, tt := range tests {
		a, _ := Lookup(tt.action)
		k, ok := a.Key(tt.key)
		if !ok {
			if tt.want != "" {
				t.Errorf("%s has no %s", tt.action, tt.key)
			}
			continue
		}
		if k.Name() != tt.want || k.Type() != tt.kind || k.Multi() != tt.multi {
			t.Errorf("%s %s: %s %s %v", tt.action, tt.key, k.Name(), k.Type(), k.Multi())
		}
	}
	for name, want := range map[string]bool{"kms:ViaService": true, "AWS:SOURCEIP": true, "kms:Via": false, "ec2:Region": false, "a.b:sub": true, "sub": false} {
		if _, ok := LookupKey(name); ok != want {
			t.Errorf("LookupKey(%s): %v", name, ok)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		a, ok := Lookup("secretsmanager:GetSecretValue")
		_, ok2 := a.Key("aws:ResourceTag/team")
		if _, unknown := LookupKey("secretsmanager:madeup"); !ok || !ok2 || unknown {
			t.Fatal("look-ups")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
