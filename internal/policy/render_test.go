package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
)

func TestRender(t *testing.T) {
	shout := func(p policy.PrincipalRef) (string, error) { return strings.ToUpper(p.Value), nil }
	for name, c := range map[string]struct {
		principal  func(policy.PrincipalRef) (string, error)
		text, want string
	}{
		"layout": {nil,
			`{"Version":"2012-10-17","Statement":[{"Sid":"a<b>&","Principal":{"AWS":["x","y"]}},{"Action":[],"Condition":{}}]}`,
			"{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [ {\n    \"Sid\" : \"a<b>&\",\n    \"Principal\" : {\n      \"AWS\" : [ \"x\", \"y\" ]\n    }\n  }, {\n    \"Action\" : [ ],\n    \"Condition\" : { }\n  } ]\n}"},
		"principals are replaced": {shout,
			`{"Statement":{"Principal":{"AWS":"x","Service":"s"},"NotPrincipal":{"AWS":["y"]}}}`,
			"{\n  \"Statement\" : {\n    \"Principal\" : {\n      \"AWS\" : \"X\",\n      \"Service\" : \"s\"\n    },\n    \"NotPrincipal\" : {\n      \"AWS\" : [ \"Y\" ]\n    }\n  }\n}"},
		"nothing else is": {shout,
			`{"Statement":[{"Principal":"x","Condition":{"StringEquals":{"a.Principal.AWS":"y"}},"AWS":"z"}]}`,
			"{\n  \"Statement\" : [ {\n    \"Principal\" : \"x\",\n    \"Condition\" : {\n      \"StringEquals\" : {\n        \"a.Principal.AWS\" : \"y\"\n      }\n    },\n    \"AWS\" : \"z\"\n  } ]\n}"},
	} {
		got, err := policy.Render(c.text, c.principal)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
	broken := errors.New("broken")
	if _, err := policy.Render(`{"Statement":{"Principal":{"AWS":"x"}}}`, func(policy.PrincipalRef) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("a failing look-up: %v", err)
	}
	for _, bad := range []string{"", "{", `{"a"`, "[1,", strings.Repeat("[", 1000)} {
		if got, err := policy.Render(bad, nil); err == nil {
			t.Errorf("%.20q prints as %q", bad, got)
		}
	}
}

// FuzzRender: what is printed reads as what was given, and prints again as
// itself.
func FuzzRender(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}]}`)
	f.Add(`{"a":[1e5,true,null,"\u2028é"],"b":{},"c":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var given any
		if json.Unmarshal([]byte(text), &given) != nil {
			t.Skip("no JSON")
		}
		printed, err := policy.Render(text, nil)
		if err != nil {
			t.Skip("too deep")
		}
		var read any
		if err := json.Unmarshal([]byte(printed), &read); err != nil || !reflect.DeepEqual(given, read) {
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if again, err := policy.Render(printed, nil); err != nil || again != printed {
			t.Fatalf("%q prints again as %q: %v", printed, again, err)
		}
	})
}
