package randomiam

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// object is a structure on the wire.
type object = map[string]any

// op is one step: a call.
type op struct {
	// id is the step's number in its run.
	id      int
	service string
	name    string
	// account is the index of the account whose administrator calls.
	account int
	// as is the model's access key id of another caller.
	as string
	in object
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
	who := []string{"a", "b"}[o.account]
	if o.as != "" {
		who = o.as
	}
	fmt.Fprintf(&b, "aws --profile %s %s %s", who, o.service, o.name)
	for _, k := range slices.Sorted(maps.Keys(o.in)) {
		fmt.Fprintf(&b, " --%s '%v'", k, o.in[k])
	}
	return b.String()
}

// form is the step's input in the Query protocol.
func (o op) form() url.Values {
	version := "2010-05-08"
	if o.service == "sts" {
		version = "2011-06-15"
	}
	form := url.Values{"Action": {o.name}, "Version": {version}}
	for k, v := range o.in {
		flatten(form, k, v)
	}
	return form
}

func flatten(form url.Values, name string, v any) {
	switch v := v.(type) {
	case object:
		for k, v := range v {
			flatten(form, name+"."+k, v)
		}
	case []string:
		for i, v := range v {
			flatten(form, fmt.Sprintf("%s.member.%d", name, i+1), v)
		}
	case []object:
		for i, v := range v {
			flatten(form, fmt.Sprintf("%s.member.%d", name, i+1), v)
		}
	default:
		form.Set(name, fmt.Sprint(v))
	}
}

// has says whether a member was given.
func (o op) has(k string) bool { _, ok := o.in[k]; return ok }

// text is a string member, "" when absent.
func (o op) text(k string) string { s, _ := o.in[k].(string); return s }

// or is a string member, or what stands for it when it is absent.
func (o op) or(k, otherwise string) string {
	if o.has(k) {
		return o.text(k)
	}
	return otherwise
}

// texts is a list of strings, nil when absent.
func (o op) texts(k string) []string { l, _ := o.in[k].([]string); return l }

// tags is the list of tags, nil when absent.
func (o op) tags() (list []tag) {
	objects, _ := o.in["Tags"].([]object)
	for _, t := range objects {
		list = append(list, tag{t["Key"].(string), t["Value"].(string)})
	}
	return list
}

// answer is what a caller sees.
type answer struct {
	code    string // "" for success
	message string
	body    object
	// alike answers are not known to the model: the servers must answer alike.
	alike bool
}

func (a answer) String() string {
	if a.code != "" {
		return a.code + ": " + a.message
	}
	return fmt.Sprint(a.body)
}
