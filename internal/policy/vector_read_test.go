package policy

import (
	"strings"
	"testing"
)

func TestReadVector(t *testing.T) {
	const user = `"principal": {"type": "User", "account": "111122223333", "arn": "arn:aws:iam::111122223333:user/a"}`
	const one = `{"name": "one", "request": {` + user + `, "action": "s:A", "resource": "*"}}`
	const two = `{"name": "two", "identity": [{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}],
		"request": {` + user + `, "action": "s:B", "resource": "*"}}`
	for what, c := range map[string]struct{ src, name, action, err string }{
		"one object":        {src: one, action: "s:A"},
		"a list of one":     {src: "[" + two + "]", action: "s:B"},
		"by name":           {src: "[" + one + "," + two + "]", name: "two", action: "s:B"},
		"ambiguous":         {src: "[" + one + "," + two + "]", err: "2 vectors; say which: one, two"},
		"unknown name":      {src: "[" + one + "]", name: "three", err: `no vector is named "three"`},
		"name without list": {src: one, name: "one", err: "no list of vectors"},
		"empty list":        {src: "[]", err: "0 vectors"},
		"no request":        {src: `{}`, err: `"request.principal.type" is missing`},
		"no such principal": {src: `{"request": {"principal": {"type": "Group"}}}`, err: `no such principal type "Group"`},
		"no action":         {src: `{"request": {` + user + `}}`, err: "are needed"},
		"unknown member":    {src: `{"requests": {}}`, err: `unknown field "requests"`},
		"broken policy":     {src: strings.Replace(two, `"Allow"`, `"Perhaps"`, 1), err: "identity policy 1"},
		"not JSON":          {src: `x`, err: "read request"},
	} {
		q, s, err := ReadVector(strings.NewReader(c.src), c.name)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got error %v, want %q", what, err, c.err)
			}
			continue
		}
		if err != nil || q.Action != c.action || s == nil {
			t.Errorf("%s: got %+v, %v", what, q, err)
		}
	}
}
