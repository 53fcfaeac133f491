package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

const modelsDir = "../../../models"

// TestGeneratedFilesAreCurrent generates again: the same bytes, both times and as
// checked in.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	for range 2 {
		services, err := load(os.DirFS(modelsDir))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range services {
			got, err := generate(s)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("../..", s.name, "api_gen.go"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s/api_gen.go is not what the models say: run make gen", s.name)
			}
		}
		rules, err := loadRules(os.DirFS(modelsDir))
		if err != nil {
			t.Fatal(err)
		}
		got, err := generateCatalog(rules)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("../../catalog/catalog_gen.go")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("catalog/catalog_gen.go is not what the models say: run make gen")
		}
	}
}

// TestAllPatternsTranslate covers also the operations that are not built yet.
func TestAllPatternsTranslate(t *testing.T) {
	services, err := load(os.DirFS(modelsDir))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range services {
		for name, sh := range s.model.Shapes {
			if sh.Pattern == "" {
				continue
			}
			n++
			_, err := translatePattern(sh.Pattern)
			// What is beyond RE2 has another pattern in overrides.json, and nothing else.
			check := s.overrides.Shapes[name].Check
			if (err != nil) != (check != "") {
				t.Errorf("%s %s: %v", s.name, name, err)
			}
			if _, err := translatePattern(check); err != nil {
				t.Errorf("%s %s: %v", s.name, name, err)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d patterns seen", n)
	}
}

func TestTranslatePattern(t *testing.T) {
	tests := []struct {
		java     string
		match    []string
		mismatch []string
	}{
		{`[\w+=,.@-]+`, []string{"a", "A_9+=,.@-"}, []string{"", "a b", "é", "a\n"}},
		{`^([a-z]+-)+\d+$`, []string{"us-east-1", "us-gov-west-1"}, []string{"us", "us-east-1\n", "x\nus-east-1", "us-east-١"}},
		{`^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*$`, []string{"", "!", "!a/b+c=d.e-f!", "a b"}, []string{"a\tb", "é"}},
		{`[0-9A-Za-z\(\)#\?\*\-\/, ]+`, []string{"rate(10 days)", "cron(0 1 * * ? *)"}, []string{"a;b"}},
		{`(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, []string{"/", "/a/"}, []string{"", "//x", "a", "/a", "/ /"}},
		{`[\u0009\u000A\u000D\u0020-\u00FF]+`, []string{"a\tb\n\rÿ"}, []string{"\x00", "Ā", "\v"}},
		{`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, []string{"", "ключ 1", "日本"}, []string{"a*", "\t"}},
		{`^[a-zA-Z0-9-_.]+$`, []string{"a-b_c."}, []string{"a b"}},
		{`[a-z0-9](-?[a-z0-9])+`, []string{"ab", "a-b", "a-b-1"}, []string{"a", "-ab", "ab-", "a--b"}},
		{`cluster-[2-7a-zA-Z]{11,16}`, []string{"cluster-abcdefghijk"}, []string{"cluster-abcdefghij", "cluster-0bcdefghijk"}},
		{`.*`, []string{"", "a b"}, []string{"a\nb", "a\rb", "a\u2028b", "a\u0085b"}},
		{`[.]`, []string{"."}, []string{"a"}},
		{`\s`, []string{" ", "\t", "\v"}, []string{"a", "\u00a0"}},
		{`[\s]`, []string{"\v"}, []string{"s"}},
		{`a|b`, []string{"a", "b"}, []string{"ab", "xa"}},
		// As Java reads it: U+1000, then the range from 0 to U+10FF, then F twice.
		{`[\u10000-\u10FFFF]`, []string{"\u1000", "5", "z", "F"}, []string{"\U00010000", "\u1100"}},
		{`a\.b`, []string{"a.b"}, []string{"axb"}},
		{`\*+`, []string{"*", "**"}, []string{""}},
		{`(?:a)+?`, []string{"a", "aa"}, []string{""}},
	}
	for _, tt := range tests {
		re2, err := translatePattern(tt.java)
		if err != nil {
			t.Errorf("%s: %v", tt.java, err)
			continue
		}
		re := regexp.MustCompile(`\A(?:` + re2 + `)\z`)
		for _, s := range tt.match {
			if !re.MatchString(s) {
				t.Errorf("%s (%s) does not match %q", tt.java, re2, s)
			}
		}
		for _, s := range tt.mismatch {
			if re.MatchString(s) {
				t.Errorf("%s (%s) matches %q", tt.java, re2, s)
			}
		}
	}
	for _, bad := range []string{`(?=a)`, `(?!a)b`, `(?i)a`, `(?<n>a)\k<n>`, `(a)\1`, `a++`, `a*+`, `a{2}+`, `[a-z&&[^b]]`, `[a[b]]`, `[]a]`, `\u12`, `\uD800`,
		`\Qa\E`, `\bx`, `\p{IsAlphabetic}`, `\pL`, `[a`, `a)`, `a\`} {
		if re2, err := translatePattern(bad); err == nil {
			t.Errorf("%s became %s", bad, re2)
		}
	}
}

func TestCamel(t *testing.T) {
	for in, want := range map[string]string{"ENCRYPT_DECRYPT": "EncryptDecrypt", "tag-key": "TagKey", "InSync": "InSync", "RSA_2048": "Rsa2048", "asc": "Asc", "AWS": "Aws", "last-accessed-date": "LastAccessedDate"} {
		if got := camel(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestModelsThatAreNotUnderstood pins that the generator stops, instead of
// leaving out what it does not know.
func TestModelsThatAreNotUnderstood(t *testing.T) {
	const good = `{"metadata":{"apiVersion":"1","endpointPrefix":"toy","jsonVersion":"1.1","protocol":"json","targetPrefix":"Toy"},
		"operations":{"Get":{"name":"Get","http":{"method":"POST","requestUri":"/"},"input":{"shape":"GetRequest"},"errors":[{"shape":"GoneException"}]}},
		"shapes":{"GetRequest":{"type":"structure","required":["Id"],"members":{"Id":{"shape":"Id"}}},"Id":{"type":"string","max":5},
			"GoneException":{"type":"structure","members":{"Message":{"shape":"Id"}},"exception":true}}}`
	const operations = `{"toy":{"validationCode":"VE","internalCode":"IE","built":["Get"]}}`
	const overrides = `{}`
	const rules = `{"toy":{"actions":{"Get":{"access":"Read"}}}}`
	edit := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	tests := []struct {
		name                                string
		model, operations, overrides, rules string
	}{
		{"good", good, operations, overrides, rules},
		{"unknown trait", edit(good, `"max":5`, `"flattened":true`), operations, overrides, rules},
		{"unknown member trait", edit(good, `{"shape":"Id"}`, `{"shape":"Id","locationName":"id"}`), operations, overrides, rules},
		{"unknown type", edit(good, `"type":"string"`, `"type":"document"`), operations, overrides, rules},
		{"missing shape", edit(good, `"Id":{"shape":"Id"}`, `"Id":{"shape":"Nope"}`), operations, overrides, rules},
		{"bad pattern", edit(good, `"max":5`, `"pattern":"(?=a)"`), operations, overrides, rules},
		{"member of no name", edit(good, `"Id":{"shape":"Id"}`, `"_id":{"shape":"Id"}`), operations, overrides, rules},
		{"constrained map", edit(good, `"Id":{"type":"string","max":5}`, `"Id":{"type":"map","max":5,"key":{"shape":"K"},"value":{"shape":"K"}},"K":{"type":"string"}`), operations, overrides, rules},
		{"sensitive number", edit(good, `"type":"string"`, `"type":"integer","sensitive":true`), operations, overrides, rules},
		{"shared input", edit(good, `"operations":{`, `"operations":{"Put":{"name":"Put","http":{"method":"POST","requestUri":"/"},"input":{"shape":"GetRequest"}},`),
			edit(operations, `"Get"`, `"Get","Put"`), overrides, edit(rules, `"Get":{"access":"Read"}`, `"Get":{"access":"Read"},"Put":{"access":"Read"}`)},
		{"other path", edit(good, `"requestUri":"/"`, `"requestUri":"/x"`), operations, overrides, rules},
		{"other protocol", edit(good, `"protocol":"json"`, `"protocol":"rest-json"`), operations, overrides, rules},
		{"other JSON version", edit(good, `"1.1"`, `"1.0"`), operations, overrides, rules},
		{"error with more members", edit(good, `{"Message":{"shape":"Id"}}`, `{"Message":{"shape":"Id"},"Reason":{"shape":"Id"}}`), operations, overrides, rules},
		{"error that is none", edit(good, `,"exception":true`, ``), operations, overrides, rules},
		{"built but not in the model", good, edit(operations, `"Get"`, `"Put"`), overrides, rules},
		{"built but without action", good, operations, overrides, `{"toy":{"actions":{}}}`},
		{"override of no shape", good, operations, `{"toy":{"shapes":{"Nope":{"bare":true,"why":"x"}}}}`, rules},
		{"override of no operation", good, operations, `{"toy":{"operations":{"Nope":{"readOnly":true,"why":"x"}}}}`, rules},
		{"override without reason", good, operations, `{"toy":{"shapes":{"Id":{"bare":true}}}}`, rules},
		{"override with a pattern that is none", edit(good, `"max":5`, `"pattern":"(?=a)"`), operations, `{"toy":{"shapes":{"Id":{"check":"(?!a)","why":"x"}}}}`, rules},
		{"override that hides a number", edit(good, `"type":"string"`, `"type":"integer"`), operations, `{"toy":{"shapes":{"Id":{"sensitive":true,"why":"x"}}}}`, rules},
		{"misspelt setting", good, edit(operations, `"internalCode"`, `"internalcod"`), overrides, rules},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := fstest.MapFS{}
			for name, text := range map[string]string{"toy.json": tt.model, "operations.json": tt.operations, "overrides.json": tt.overrides, "authorization.json": tt.rules} {
				if !json.Valid([]byte(text)) {
					t.Fatalf("%s is not JSON", name)
				}
				dir[name] = &fstest.MapFile{Data: []byte(text)}
			}
			services, err := load(dir)
			if err == nil {
				_, err = generate(services[0])
			}
			if (err == nil) != (tt.name == "good") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// TestRulesThatAreNotUnderstood pins the same for authorization.json.
func TestRulesThatAreNotUnderstood(t *testing.T) {
	const good = `{"toy":{"actions":{"Get":{"access":"Read","resources":{"thing":{"required":true,"conditionKeys":["toy:A"]}},"conditionKeys":["toy:B"]}},
		"resourceTypes":{"thing":{"arn":"arn:${Partition}:toy:${Region}:${Account}:${Id}","conditionKeys":["toy:B"]}},
		"conditionKeys":{"toy:A":"String","toy:B":"ArrayOfARN"}}}`
	for name, edit := range map[string][2]string{
		"good":                     {"", ""},
		"unknown member":           {`"access"`, `"level"`},
		"unknown access level":     {`"Read"`, `"Look"`},
		"unknown resource type":    {`{"thing":{"required"`, `{"things":{"required"`},
		"unknown key of an action": {`["toy:B"]}},`, `["toy:C"]}},`},
		"unknown key of a type": {`["toy:B"]}},
		"conditionKeys"`, `["toy:C"]}},
		"conditionKeys"`},
		"unknown key of an action's resource": {`["toy:A"]`, `["toy:C"]`},
		"unknown type of a key":               {`"ArrayOfARN"`, `"ArrayOfIP"`},
	} {
		text := strings.Replace(good, edit[0], edit[1], 1)
		if name != "good" && text == good {
			t.Fatalf("%s: nothing to change", name)
		}
		rules, err := loadRules(fstest.MapFS{"authorization.json": &fstest.MapFile{Data: []byte(text)}})
		if err == nil {
			_, err = generateCatalog(rules)
		}
		if (err == nil) != (name == "good") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRunWrites(t *testing.T) {
	out := t.TempDir()
	if err := run(modelsDir, out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kms/api_gen.go", "catalog/catalog_gen.go"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	if err := run(out, out); err == nil {
		t.Error("no models, no error")
	}
}
