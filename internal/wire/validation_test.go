package wire

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/internal/aws"
)

func TestValidationWording(t *testing.T) {
	const is = " failed to satisfy constraint: "
	one := func(item string) string { return "1 validation error detected: " + item }
	secret := func(s string) *aws.SensitiveString { return new(aws.SensitiveString(s)) }
	id := new("a")
	tests := []struct {
		name  string
		in    toyInput
		echo  string // want where values are shown
		blind string // want where they are not; "" is the same
	}{
		{"nothing wrong", toyInput{Id: id, Secret: secret("x"), Count: new(int32(20)), Names: []string{"a"}}, "", ""},
		{"required", toyInput{}, one("Value null at 'id'" + is + "Member must not be null"), one("Value at 'id'" + is + "Member must not be null")},
		{"too long", toyInput{Id: new("abcdefghi")}, one("Value 'abcdefghi' at 'id'" + is + "Member must have length less than or equal to 8"),
			one("Value at 'id'" + is + "Member must have length less than or equal to 8")},
		{"too short shows the empty value", toyInput{Id: new("")}, one("Value '' at 'id'" + is + "Member must have length greater than or equal to 1"),
			one("Value at 'id'" + is + "Member must have length greater than or equal to 1")},
		{"pattern", toyInput{Id: new("A")}, one("Value 'A' at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*"),
			one("Value at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*")},
		{"pattern matches the whole", toyInput{Id: new("a\nb")}, one("Value 'a\nb' at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*"),
			one("Value at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*")},
		{"characters, not bytes", toyInput{Id: new("éééééééé")}, one("Value 'éééééééé' at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*"),
			one("Value at 'id'" + is + "Member must satisfy regular expression pattern: [a-z]*")},
		{"sensitive too long, in bytes", toyInput{Id: id, Secret: secret("éééééé")}, one("Value at 'secret'" + is + "Member must have length less than or equal to 10"), ""},
		{"sensitive of just ten bytes", toyInput{Id: id, Secret: secret("ééééé")}, "", ""},
		{"sensitive empty", toyInput{Id: id, Secret: secret("")}, one("Value at 'secret'" + is + "Member must have length greater than or equal to 1"), ""},
		{"sensitive with U+0000", toyInput{Id: id, Secret: secret("a\x00b")}, "", ""},
		{"blob", toyInput{Id: id, Blob: []byte("12345")}, one("Value at 'blob'" + is + "Member must have length less than or equal to 4"), ""},
		{"sensitive blob", toyInput{Id: id, SecretBlob: []byte("12345")}, one("Value at 'secretBlob'" + is + "Member must have length less than or equal to 4"), ""},
		{"number too large", toyInput{Id: id, Count: new(int32(21))}, one("Value '21' at 'count'" + is + "Member must have value less than or equal to 20"),
			one("Value at 'count'" + is + "Member must have value less than or equal to 20")},
		{"number too small", toyInput{Id: id, Count: new(int32(-1))}, one("Value '-1' at 'count'" + is + "Member must have value greater than or equal to 0"),
			one("Value at 'count'" + is + "Member must have value greater than or equal to 0")},
		{"list too short", toyInput{Id: id, Names: []string{}}, one("Value '[]' at 'names'" + is + "Member must have length greater than or equal to 1"),
			one("Value at 'names'" + is + "Member must have length greater than or equal to 1")},
		{"list too long", toyInput{Id: id, Names: []string{"a", "b", "c", "d"}}, one("Value '[a, b, c, d]' at 'names'" + is + "Member must have length less than or equal to 3"),
			one("Value at 'names'" + is + "Member must have length less than or equal to 3")},
		{"list of structures hides what is sensitive", toyInput{Id: id, Tags: []toyTag{{Key: new("all"), Value: secret("hunter2")}, {Key: new("all")}, {Key: new("all")}}},
			one("Value '[{key=all, value=[redacted]}, {key=all}, {key=all}]' at 'tags'" + is + "Member must have length less than or equal to 2"),
			one("Value at 'tags'" + is + "Member must have length less than or equal to 2")},
		{"list item", toyInput{Id: id, Names: []string{"a", "B"}}, one("Value 'B' at 'names.2.member'" + is + "Member must satisfy regular expression pattern: [a-z]*"),
			one("Value at 'names.2.member'" + is + "Member must satisfy regular expression pattern: [a-z]*")},
		{"enum in a list", toyInput{Id: id, Tags: []toyTag{{Key: new("x")}}}, one("Value 'x' at 'tags.1.member.key'" + is + "Member must satisfy enum value set: [all, name]"),
			one("Value at 'tags.1.member.key'" + is + "Member must satisfy enum value set: [all, name]")},
		{"list in a structure", toyInput{Id: id, Rules: &toyRules{Days: new(int64(99)), Tags: []toyTag{{}}}},
			"2 validation errors detected: Value '99' at 'rules.days'" + is + "Member must have value less than or equal to 20; " +
				"Value null at 'rules.tags.1.member.key'" + is + "Member must not be null",
			"2 validation errors detected: Value at 'rules.days'" + is + "Member must have value less than or equal to 20; " +
				"Value at 'rules.tags.1.member.key'" + is + "Member must not be null"},
		{"U+0000", toyInput{Id: id, ARN: new("a\x00b")}, one("Value at 'arn'" + is + `Member must satisfy regular expression pattern: [^\u0000]*`), ""},
		{"U+0000 in a map", toyInput{Id: id, Context: map[string]string{"k\x00": "v"}}, one("Value at 'context'" + is + `Member must satisfy regular expression pattern: [^\u0000]*`), ""},
		{"value too long to repeat", toyInput{Id: new(strings.Repeat("a", maxEcho+1))}, one("Value at 'id'" + is + "Member must have length less than or equal to 8"), ""},
		{"all, in the order of the model", toyInput{Secret: secret(""), Count: new(int32(21))},
			"3 validation errors detected: Value null at 'id'" + is + "Member must not be null; " +
				"Value at 'secret'" + is + "Member must have length greater than or equal to 1; " +
				"Value '21' at 'count'" + is + "Member must have value less than or equal to 20",
			"3 validation errors detected: Value at 'id'" + is + "Member must not be null; " +
				"Value at 'secret'" + is + "Member must have length greater than or equal to 1; " +
				"Value at 'count'" + is + "Member must have value less than or equal to 20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.blind == "" {
				tt.blind = tt.echo
			}
			for echo, want := range map[bool]string{true: tt.echo, false: tt.blind} {
				v := Validation{echo: echo}
				tt.in.Validate(&v)
				err := v.Err(&Service{ValidationCode: "VE"})
				if want == "" {
					if err != nil {
						t.Errorf("echo %v: %v", echo, err)
					}
					continue
				}
				if err == nil || err.Message != want || err.Code != "VE" || !err.Framework || err.HTTPStatus() != 400 {
					t.Errorf("echo %v: got  %v\nwant %s", echo, err, want)
				}
			}
		})
	}
}

// TestValidationIsBounded feeds a body full of violations: the sentence must not
// grow with it, but must count them.
func TestValidationIsBounded(t *testing.T) {
	in := toyInput{Id: new("a"), Tags: make([]toyTag, 100_000)}
	v := Validation{echo: true}
	in.Validate(&v)
	err := v.Err(&Service{})
	if len(err.Message) > 64<<10 || !strings.HasPrefix(err.Message, "100001 validation errors detected: ") {
		t.Errorf("%d bytes: %.80s", len(err.Message), err.Message)
	}
}

// TestSensitiveNeverShown prints an input in every way a careless line could.
func TestSensitiveNeverShown(t *testing.T) {
	in := &toyInput{Secret: new(aws.SensitiveString("hunter2")), SecretBlob: aws.SensitiveBytes("hunter2"),
		Tags: []toyTag{{Value: new(aws.SensitiveString("hunter2"))}}}
	c := &Call{Input: in}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, v := range []any{in, *in, c, *c, in.Tags, *in.Secret, in.SecretBlob} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "hunter2") || strings.Contains(s, "68756e746572") || strings.Contains(s, "104 117 110") {
				t.Errorf("%s of %T: %s", verb, v, s)
			}
		}
	}
}
