package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/policy"
)

func TestRename(t *testing.T) {
	shout := func(p policy.PrincipalRef) (string, error) { return strings.ToUpper(p.Value), nil }
	for name, c := range map[string][2]string{
		"one":              {`{"Statement":{"Principal":{"AWS":"x"}}}`, `{"Statement":{"Principal":{"AWS":"X"}}}`},
		"many":             {`{"Statement":[{"Principal":{"AWS":["x" , "y"],"Service":"s"}},{"NotPrincipal":{"AWS":"z"}}]}`, `{"Statement":[{"Principal":{"AWS":["X" , "Y"],"Service":"s"}},{"NotPrincipal":{"AWS":"Z"}}]}`},
		"white space":      {"\t{ \"Statement\" :\r\n [ { \"Principal\":{\"AWS\" :  \"x\" } } ] }\n", "\t{ \"Statement\" :\r\n [ { \"Principal\":{\"AWS\" :  \"X\" } } ] }\n"},
		"escapes":          {`{"Sid":"\u0041","Statement":{"Sid":"\u00e9","Principal":{"AWS":"\u0078<é"}}}`, `{"Sid":"\u0041","Statement":{"Sid":"\u00e9","Principal":{"AWS":"X<É"}}}`},
		"unchanged":        {`{"Statement":{"Principal":{"AWS":"\u0058"}}}`, `{"Statement":{"Principal":{"AWS":"\u0058"}}}`},
		"nothing to name":  {`{"Statement":[{"Principal":"*","AWS":"x","Condition":{"A":{"Principal":{"AWS":"y"}}}}]}`, `{"Statement":[{"Principal":"*","AWS":"x","Condition":{"A":{"Principal":{"AWS":"y"}}}}]}`},
		"no policy at all": {`[{"Principal":{"AWS":"x"}}]`, `[{"Principal":{"AWS":"x"}}]`},
	} {
		if got, err := policy.Rename(c[0], shout); err != nil || got != c[1] {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c[1])
		}
	}
	broken := errors.New("broken")
	if _, err := policy.Rename(`{"Statement":{"Principal":{"AWS":"x"}}}`, func(policy.PrincipalRef) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("a failing look-up: %v", err)
	}
	for _, bad := range []string{"", "{", `{"a"`, "[1,", strings.Repeat("[", 1000)} {
		if got, err := policy.Rename(bad, shout); err == nil {
			t.Errorf("%.20q is renamed to %q", bad, got)
		}
	}
}
