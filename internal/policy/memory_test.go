package policy

import (
	"runtime"
	"strings"
	"testing"
)

// What caches are told that a policy takes is about what it takes, whatever its
// author makes it of. Not parallel: it looks at the memory of the whole process.
func TestMemory(t *testing.T) {
	many := func(element string, n int) string { return strings.TrimSuffix(strings.Repeat(element+",", n), ",") }
	allow := func(rest string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + rest + `}]}`
	}
	for name, text := range map[string]string{
		"actions":    allow(`"Resource":"*","Action":[` + many(`"a:*"`, 1000) + `]`),
		"resources":  allow(`"Action":"*","Resource":[` + many(`"*:*"`, 1000) + `]`),
		"statements": `{"Version":"2012-10-17","Statement":[` + many(`{"Effect":"Deny","Action":"a:b","Resource":"*"}`, 125) + `]}`,
		"addresses":  allow(`"Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":[` + many(`"::1"`, 1000) + `]}}`),
		"texts":      allow(`"Action":"*","Resource":"*","Condition":{"StringLike":{"a:b":[` + many(`"*a"`, 1000) + `]}}`),
		"wildcards":  allow(`"Action":"*","Resource":"*","Condition":{"StringLike":{"a:b":"` + strings.Repeat("*a", 3000) + `"}}`),
		"variables":  allow(`"Action":"*","Resource":"*","Condition":{"StringLike":{"a:b":"` + strings.Repeat("${a:b}", 1000) + `"}}`),
		"numbers":    allow(`"Action":"*","Resource":"*","Condition":{"NumericEquals":{"a:b":[` + many(`"1"`, 1000) + `]}}`),
		"dates":      allow(`"Action":"*","Resource":"*","Condition":{"DateEquals":{"a:b":[` + many(`"1"`, 1000) + `]}}`),
		"arns":       allow(`"Action":"*","Resource":"*","Condition":{"ArnLike":{"a:b":[` + many(`"arn:a:b:c:d:e"`, 400) + `]}}`),
		"principals": allow(`"Action":"*","Principal":{"AWS":[` + many(`"111122223333"`, 400) + `]}`),
		"plain":      allow(`"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf"`),
	} {
		const n = 50
		var before, after runtime.MemStats
		held := make([]*Document, n)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range held {
			var err error
			if held[i], err = Parse([]byte(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		takes, said := (int(after.HeapAlloc)-int(before.HeapAlloc))/n, held[0].Memory()
		if takes > said || takes < said/20 {
			t.Errorf("%s: a policy of %d characters takes %d bytes, and says %d", name, len(text), takes, said)
		}
		runtime.KeepAlive(held)
	}
}
