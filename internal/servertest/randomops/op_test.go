package randomops

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// op is one step: a call, or, with an empty name, nothing but time passing.
type op struct {
	// id is the step's number in its run.
	id int
	// service is "secretsmanager" or "kms"; "" for the steps below.
	service string
	// name is the operation, or "jobs" for a run of the servers' own work.
	name   string
	who    int // index into principals
	region string
	in     object
	// walk follows NextToken to the last page.
	walk bool
	// idle steps changed nothing: they only read, or failed.
	idle bool
	// after is how far the clock moves before the step.
	after time.Duration
}

// String says the step as the AWS CLI would.
func (o op) String() string {
	var b strings.Builder
	if o.after >= time.Hour {
		fmt.Fprintf(&b, "(%v later) ", o.after)
	}
	if o.service == "" {
		return b.String() + "# " + o.name
	}
	fmt.Fprintf(&b, "aws --profile %s --region %s %s %s", principals[o.who].name, o.region, o.service, kebab(o.name))
	if o.walk {
		b.WriteString(" --page-walk")
	}
	for _, k := range slices.Sorted(maps.Keys(o.in)) {
		switch v := o.in[k].(type) {
		case bool:
			if v {
				fmt.Fprintf(&b, " --%s", kebab(k))
			} else {
				fmt.Fprintf(&b, " --no-%s", kebab(k))
			}
		case string:
			fmt.Fprintf(&b, " --%s %s", kebab(k), quote(v))
		default:
			j, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(&b, " --%s %s", kebab(k), quote(string(j)))
		}
	}
	return b.String()
}

func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \"'{}[]*?!$&|;()<>\\") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// kebab turns GetSecretValue into get-secret-value.
func kebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// has says whether a member was given.
func (o op) has(k string) bool { _, ok := o.in[k]; return ok }

// text is a string member, "" when absent.
func (o op) text(k string) string { s, _ := o.in[k].(string); return s }

// flag is a boolean member, false when absent.
func (o op) flag(k string) bool { v, _ := o.in[k].(bool); return v }

// number is a numeric member, 0 when absent.
func (o op) number(k string) int { n, _ := o.in[k].(int); return n }

// texts is a list of strings, nil when absent.
func (o op) texts(k string) []string { l, _ := o.in[k].([]string); return l }

// objects is a list of objects, nil when absent.
func (o op) objects(k string) []object { l, _ := o.in[k].([]object); return l }

// answer is what a caller sees.
type answer struct {
	code    string // "" for success
	message string
	body    object
	// rank orders the entries of a list by their ARN where that is more than the
	// order of the body: entries of the same rank may come in any order.
	rank map[string]int
}

func (a answer) String() string {
	if a.code != "" {
		return a.code + ": " + a.message
	}
	b, err := json.MarshalIndent(a.body, "    ", " ")
	if err != nil {
		panic(err)
	}
	return string(b)
}
