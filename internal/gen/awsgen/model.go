package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// service is all that is known of one service.
type service struct {
	name      string
	model     model
	settings  settings
	overrides overrides
	auth      authorization
}

// settings is a service's entry in operations.json.
type settings struct {
	ValidationCode   string   `json:"validationCode"`
	InternalCode     string   `json:"internalCode"`
	ClockSkewMinutes int      `json:"clockSkewMinutes"`
	EchoValues       bool     `json:"echoValues"`
	Global           bool     `json:"global"`
	Built            []string `json:"built"`
}

// overrides is a service's entry in overrides.json.
type overrides struct {
	Shapes     map[string]shapeOverride     `json:"shapes"`
	Operations map[string]operationOverride `json:"operations"`
}

type shapeOverride struct {
	// LengthInBytes makes a string's length count in bytes.
	LengthInBytes bool `json:"lengthInBytes"`
	// Bare leaves the message out of an error.
	Bare bool `json:"bare"`
	// Sensitive keeps a shape's values out of records and logs.
	Sensitive bool `json:"sensitive"`
	// Check is a pattern that matches what the model's own does, where that one
	// cannot be translated; messages show the model's.
	Check string `json:"check"`
	// NoMin takes the least length away, for text that AWS refuses in other words.
	NoMin bool   `json:"noMin"`
	Why   string `json:"why"`
}

type operationOverride struct {
	ReadOnly        bool   `json:"readOnly"`
	NoAuthorization bool   `json:"noAuthorization"`
	Why             string `json:"why"`
}

// authorization is a service's entry in authorization.json.
type authorization struct {
	Actions map[string]struct {
		Access    string `json:"access"`
		Resources map[string]struct {
			Required      bool     `json:"required"`
			ConditionKeys []string `json:"conditionKeys"`
		} `json:"resources"`
		ConditionKeys []string `json:"conditionKeys"`
		DependsOn     []string `json:"dependsOn"`
	} `json:"actions"`
	ResourceTypes map[string]struct {
		ARN           string   `json:"arn"`
		ConditionKeys []string `json:"conditionKeys"`
	} `json:"resourceTypes"`
	ConditionKeys map[string]string `json:"conditionKeys"`
}

// model is a service description. Decoding is strict, so that a trait nobody
// thought of stops the generator.
type model struct {
	Metadata struct {
		APIVersion          string   `json:"apiVersion"`
		EndpointPrefix      string   `json:"endpointPrefix"`
		GlobalEndpoint      string   `json:"globalEndpoint"`
		JSONVersion         string   `json:"jsonVersion"`
		Protocol            string   `json:"protocol"`
		Protocols           []string `json:"protocols"`
		ServiceAbbreviation string   `json:"serviceAbbreviation"`
		ServiceFullName     string   `json:"serviceFullName"`
		ServiceID           string   `json:"serviceId"`
		SignatureVersion    string   `json:"signatureVersion"`
		SigningName         string   `json:"signingName"`
		TargetPrefix        string   `json:"targetPrefix"`
		UID                 string   `json:"uid"`
		XMLNamespace        string   `json:"xmlNamespace"`
		Auth                []string `json:"auth"`
	} `json:"metadata"`
	Operations map[string]operation `json:"operations"`
	Shapes     map[string]*shape    `json:"shapes"`
	Pagination json.RawMessage      `json:"pagination"`
	// OtherOperations are names of operations the trimmed model does not describe.
	OtherOperations []string `json:"otherOperations"`
}

type operation struct {
	Name string `json:"name"`
	HTTP struct {
		Method     string `json:"method"`
		RequestURI string `json:"requestUri"`
	} `json:"http"`
	Input    *ref     `json:"input"`
	Output   *ref     `json:"output"`
	Errors   []ref    `json:"errors"`
	Auth     []string `json:"auth"`
	AuthType string   `json:"authtype"`
}

type ref struct {
	Shape             string `json:"shape"`
	ResultWrapper     string `json:"resultWrapper"`
	Box               bool   `json:"box"`
	IdempotencyToken  bool   `json:"idempotencyToken"`
	Deprecated        bool   `json:"deprecated"`
	DeprecatedMessage string `json:"deprecatedMessage"`
}

type shape struct {
	Type              string   `json:"type"`
	Members           members  `json:"members"`
	Required          []string `json:"required"`
	Member            *ref     `json:"member"`
	Key               *ref     `json:"key"`
	Value             *ref     `json:"value"`
	Min               *int64   `json:"min"`
	Max               *int64   `json:"max"`
	Pattern           string   `json:"pattern"`
	Enum              []string `json:"enum"`
	Sensitive         bool     `json:"sensitive"`
	Box               bool     `json:"box"`
	Deprecated        bool     `json:"deprecated"`
	DeprecatedMessage string   `json:"deprecatedMessage"`
	Exception         bool     `json:"exception"`
	Fault             bool     `json:"fault"`
	Error             *struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
		SenderFault    bool   `json:"senderFault"`
	} `json:"error"`
}

// members keeps the order of the model, which is the order of answers and of
// violations.
type members []struct {
	name string
	ref  ref
}

func (m *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("members: not an object"), err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		var r ref
		if err := d.Decode(&r); err != nil {
			return fmt.Errorf("member %v: %w", t, err)
		}
		*m = append(*m, struct {
			name string
			ref  ref
		}{t.(string), r})
	}
	return nil
}

// load reads the services that operations.json names, in the order of their names.
func load(dir fs.FS) ([]*service, error) {
	var (
		all  map[string]settings
		over map[string]overrides
	)
	rules, err := loadRules(dir)
	err = errors.Join(err, read(dir, "operations.json", &all), read(dir, "overrides.json", &over))
	if err != nil {
		return nil, err
	}
	var services []*service
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := &service{name: name, settings: all[name], overrides: over[name], auth: rules[name]}
		if err := read(dir, name+".json", &s.model); err != nil {
			return nil, err
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		services = append(services, s)
	}
	return services, nil
}

// loadRules reads what policies can say about every service, built or not.
func loadRules(dir fs.FS) (map[string]authorization, error) {
	var rules map[string]authorization
	err := read(dir, "authorization.json", &rules)
	return rules, err
}

func read(dir fs.FS, name string, v any) error {
	b, err := fs.ReadFile(dir, name)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// check finds entries that refer to nothing, which would otherwise rot unseen.
func (s *service) check() error {
	for _, op := range s.settings.Built {
		if _, ok := s.model.Operations[op]; !ok {
			return fmt.Errorf("built operation %s is not in the model", op)
		}
		if _, ok := s.auth.Actions[op]; !ok {
			return fmt.Errorf("built operation %s has no action", op)
		}
	}
	for name, o := range s.overrides.Shapes {
		if s.model.Shapes[name] == nil || o.Why == "" {
			return fmt.Errorf("override of shape %s: no such shape, or no reason", name)
		}
		s.model.Shapes[name].Sensitive = s.model.Shapes[name].Sensitive || o.Sensitive
		if o.NoMin {
			s.model.Shapes[name].Min = nil
		}
	}
	for name, o := range s.overrides.Operations {
		if _, ok := s.model.Operations[name]; !ok || o.Why == "" {
			return fmt.Errorf("override of operation %s: no such operation, or no reason", name)
		}
	}
	for name, sh := range s.model.Shapes {
		for _, r := range slices.Concat([]*ref{sh.Member, sh.Key, sh.Value}, sh.Members.refs()) {
			if r != nil && s.model.Shapes[r.Shape] == nil {
				return fmt.Errorf("shape %s refers to %s, which is missing", name, r.Shape)
			}
		}
	}
	return nil
}

func (m members) refs() []*ref {
	var refs []*ref
	for i := range m {
		refs = append(refs, &m[i].ref)
	}
	return refs
}
