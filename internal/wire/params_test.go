package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
)

func TestRequestParameters(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"no input", nil, "null"},
		{"nil input", (*toyInput)(nil), "null"},
		{"not a structure", new(int), "null"},
		{"empty input", &toyInput{}, "null"},
		{"only what is hidden", &toyInput{Secret: new(aws.SensitiveString("x")), SecretBlob: []byte("x"), Blob: []byte("x")}, "null"},
		{"all", &toyInput{Id: new("a\"\u2028<\x00\x1f"), Secret: new(aws.SensitiveString("hunter2")), SecretBlob: aws.SensitiveBytes("hunter2"), Blob: []byte("hunter2"),
			Count: new(int32(1)), Big: new(int64(-2)), Flag: new(false), When: aws.NewTime(time.Unix(0, 0)), Names: []string{"x", ""},
			Tags: []toyTag{{Key: new("k"), Value: new(aws.SensitiveString("hunter2"))}, {}}, Context: map[string]string{"b": "2", "a": "1"},
			Rules: &toyRules{Days: new(int64(7)), Tags: []toyTag{{Value: new(aws.SensitiveString("hunter2"))}}}, ARN: new("arn:x")},
			`{"id":"a\"` + "\u2028" + `<\u0000\u001f","count":1,"big":-2,"flag":false,"when":"1970-01-01T00:00:00Z","names":["x",""],` +
				`"tags":[{"key":"k"},{}],"context":{"a":"1","b":"2"},"rules":{"days":7,"tags":[{}]},"arn":"arn:x"}`},
		{"empty list is shown", &toyInput{Names: []string{}}, `{"names":[]}`},
		{"not UTF-8", &toyInput{Id: new("a\xff")}, "{\"id\":\"a\uFFFD\"}"},
		{"too large", &toyInput{Id: new(strings.Repeat("a", maxParameters))}, `{"omitted":true}`},
		{"too many", &toyInput{Names: make([]string, 1_000_000)}, `{"omitted":true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := (&Call{Input: tt.in}).RequestParameters()
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !json.Valid(got) {
				t.Error("not JSON")
			}
		})
	}
}
