// Package awsmanaged holds the AWS managed policies that concern the services
// built here, at the ARNs that guides, Terraform modules and people know them by.
//
// They belong to no account and never change while the process runs. Their
// documents are cut down to our services: what AWS's text says about EC2, S3 and
// others, which no action here could match, is left out. What is left grants and
// denies exactly what AWS's does.
package awsmanaged

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/policy"
)

// Policy is one managed policy in its only version.
type Policy struct {
	Name string
	ARN  string
	// Path begins and ends with a slash, such as "/service-role/".
	Path string
	// ID is the unique id, "ANPA…".
	ID string
	// Version is the id of the default version.
	Version string
	// Created is when the policy and its version were made.
	Created time.Time
	// Text is the document as GetPolicyVersion returns it.
	Text string
	// Document is the same, compiled; it may be shared.
	Document *policy.Document
}

//go:embed policies.json
var source []byte

const arnPrefix = "arn:aws:iam::aws:policy/"

// The models hold neither AWS's dates nor its version numbers, and clients only
// show them. So all policies have one version and one date: the day on which AWS
// introduced managed policies (docs/divergences.md).
const version = "v1"

var created = time.Date(2015, time.February, 11, 0, 0, 0, 0, time.UTC)

// load parses the documents when somebody first asks: most processes never do.
var load = sync.OnceValue(func() map[string]Policy {
	policies, err := parse(source)
	if err != nil {
		panic("awsmanaged: " + err.Error()) // the embedded file is at fault, and a test reads it
	}
	return policies
})

// Get returns the policy with an ARN.
func Get(arn string) (Policy, bool) {
	// Most ARNs asked for are of customers' own policies.
	if !strings.HasPrefix(arn, arnPrefix) {
		return Policy{}, false
	}
	p, ok := load()[arn]
	return p, ok
}

// List returns all policies, sorted by name.
func List() []Policy {
	return slices.SortedFunc(maps.Values(load()), func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
}

func parse(src []byte) (map[string]Policy, error) {
	var file map[string]struct {
		ARN      string          `json:"arn"`
		Document json.RawMessage `json:"document"`
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, err
	}
	policies := make(map[string]Policy, len(file))
	for name, entry := range file {
		p, err := newPolicy(name, entry.ARN, entry.Document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		policies[p.ARN] = p
	}
	return policies, nil
}

func newPolicy(name, arn string, document []byte) (Policy, error) {
	resource, ok := strings.CutPrefix(arn, arnPrefix)
	path, ok2 := strings.CutSuffix("/"+resource, name)
	if !ok || !ok2 || !strings.HasSuffix(path, "/") {
		return Policy{}, fmt.Errorf("ARN %s does not name it", arn)
	}
	// AWS prints its own policies with four blanks.
	var text bytes.Buffer
	if err := json.Indent(&text, document, "", "    "); err != nil {
		return Policy{}, err
	}
	doc, err := policy.ParseAs(text.Bytes(), policy.KindIdentity)
	if err != nil {
		return Policy{}, err
	}
	return Policy{
		Name: name, ARN: arn, Path: path, ID: id(arn), Version: version, Created: created, Text: text.String(), Document: doc,
	}, nil
}

// id makes the unique id out of the ARN, so that it is the same in every
// deployment and release. It is not AWS's, which the models do not hold.
func id(arn string) string {
	sum := sha256.Sum256([]byte(arn))
	return "ANPA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
