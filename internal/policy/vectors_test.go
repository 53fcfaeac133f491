package policy

import (
	"os"
	"strings"
	"testing"
)

func TestVectors(t *testing.T) {
	f, err := os.Open("testdata/iam-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	results, err := RunVectors(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 108 {
		t.Errorf("ran %d vectors, want 108", len(results))
	}
	seen := make(map[string]bool)
	for _, r := range results {
		if seen[r.Name] {
			t.Errorf("%s: name used twice", r.Name)
		}
		seen[r.Name] = true
		if !r.OK() {
			t.Errorf("%s: got %q, want %q, error %v\n%v", r.Name, r.Got, r.Want, r.Err, r.Explanation)
		}
	}
}

// The actions of spec iam-policy-evaluation.md 12 have no case, and every action
// of STS on a role meets a trust policy, though only AssumeRole… needs its leave.
func TestVectorsKnowTrustPolicies(t *testing.T) {
	const caller = `"principal":{"type":"User","account":"111122223333","arn":"arn:aws:iam::111122223333:user/a"}`
	for action, want := range map[string]string{
		"sts:TagSession": "allow", "STS:AssumeRole": "allow", "sts:assumerolewithsaml": "allow", "s3:Get": "implicitDeny",
	} {
		v := `[{"name":"n","identity":[],"boundary":null,"session":null,` +
			`"resource":{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/a"},"Action":"*"}},` +
			`"request":{` + caller + `,"action":"` + action + `","resource":"arn:aws:iam::111122223333:role/r","context":{}},"expect":"` + want + `"}]`
		results, err := RunVectors(strings.NewReader(v))
		if err != nil || !results[0].OK() {
			t.Errorf("%s: %v %+v", action, err, results)
		}
	}
}

// A runner that cannot fail proves nothing.
func TestVectorsReportFailure(t *testing.T) {
	const good = `{"name":"n","identity":[],"resource":null,"boundary":null,"session":null,"request":{"principal":{"type":"Anonymous"},"action":"s3:Get","resource":"*","context":{}},"expect":"implicitDeny"}`
	for name, c := range map[string]struct{ src, err string }{
		"wrong expectation":  {strings.Replace(good, "implicitDeny", "allow", 1), ""},
		"no such outcome":    {strings.Replace(good, "implicitDeny", "maybe", 1), "no such outcome"},
		"member missing":     {strings.Replace(good, `"session":null,`, "", 1), `"session" is missing`},
		"unknown member":     {strings.Replace(good, `"name"`, `"more":1,"name"`, 1), "unknown field"},
		"unknown principal":  {strings.Replace(good, "Anonymous", "Martian", 1), "no such principal"},
		"policy no policy":   {strings.Replace(good, `"identity":[]`, `"identity":[{}]`, 1), "Statement is missing"},
		"context wrong type": {strings.Replace(good, `"context":{}`, `"context":{"a":1}`, 1), "cannot unmarshal"},
	} {
		results, err := RunVectors(strings.NewReader("[" + c.src + "]"))
		if err != nil || len(results) != 1 {
			t.Errorf("%s: %v, %d results", name, err, len(results))
			continue
		}
		r := results[0]
		switch {
		case r.OK():
			t.Errorf("%s: passed", name)
		case c.err == "" && (r.Err != nil || r.Explanation == nil):
			t.Errorf("%s: error %v, explanation %v", name, r.Err, r.Explanation)
		case c.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", name, r.Err, c.err)
		}
	}
	if _, err := RunVectors(strings.NewReader("{}")); err == nil {
		t.Error("a file that is no array was read")
	}
}
