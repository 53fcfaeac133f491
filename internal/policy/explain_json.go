package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// The form of an explanation in JSON, which command lines print and stores keep:
// members may be added, none changes its meaning. Statements count from 1.

type explanationJSON struct {
	Decision  string            `json:"decision"`
	Layer     string            `json:"layer"`
	Reason    string            `json:"reason,omitempty"`
	Caller    string            `json:"caller"`
	Action    string            `json:"action"`
	Resource  string            `json:"resource"`
	Account   string            `json:"resourceAccount,omitempty"`
	DecidedBy *deciderJSON      `json:"decidedBy,omitempty"`
	Policies  []policyTraceJSON `json:"policies"`
	Withheld  []string          `json:"withheld,omitempty"`
	Changes   []changeJSON      `json:"changes"`
}

type deciderJSON struct {
	Layer     string `json:"layer"`
	Policy    string `json:"policy"`
	Version   string `json:"version,omitempty"`
	Sid       string `json:"sid,omitempty"`
	Statement int    `json:"statement"`
}

type policyTraceJSON struct {
	Layer      string               `json:"layer"`
	Policy     string               `json:"policy"`
	Version    string               `json:"version,omitempty"`
	Statements []statementTraceJSON `json:"statements"`
}

type statementTraceJSON struct {
	Statement  int                  `json:"statement"`
	Sid        string               `json:"sid,omitempty"`
	Effect     Effect               `json:"effect"`
	Line       int                  `json:"line"`
	Matched    bool                 `json:"matched"`
	Misses     []missJSON           `json:"misses,omitempty"`
	Conditions []conditionTraceJSON `json:"conditions,omitempty"`
	Elements   []elementJSON        `json:"elements,omitempty"`
}

type missJSON struct {
	Element string `json:"element"`
	Detail  string `json:"detail"`
}

type elementJSON struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

type conditionTraceJSON struct {
	Operator string   `json:"operator"`
	Key      string   `json:"key"`
	Want     []string `json:"want"`
	Got      []string `json:"got"`
	Present  bool     `json:"present"`
	Held     bool     `json:"held"`
	Hidden   bool     `json:"hidden,omitempty"`
}

type changeJSON struct {
	Layer   string `json:"layer"`
	Text    string `json:"text"`
	Add     string `json:"add,omitempty"`
	Nearest string `json:"nearest,omitempty"`
}

// MarshalJSON writes the explanation for programs.
func (x *Explanation) MarshalJSON() ([]byte, error) {
	out := explanationJSON{
		Decision: x.Decision.Outcome.String(), Layer: x.Decision.Layer.String(), Reason: x.Decision.Reason(x.Action),
		Caller: x.Caller, Action: x.Action, Resource: x.Resource, Account: x.Account,
		Policies: []policyTraceJSON{}, Withheld: x.Withheld, Changes: []changeJSON{},
	}
	if d := x.Decision; d.Statement >= 0 {
		out.DecidedBy = &deciderJSON{d.Layer.String(), d.Source, d.Version, d.Sid, d.Statement + 1}
	}
	for i := range x.Policies {
		out.Policies = append(out.Policies, x.Policies[i].json())
	}
	for _, c := range x.Changes {
		out.Changes = append(out.Changes, changeJSON{c.Layer.String(), c.Text, c.Add, c.Nearest})
	}
	// Policies and ARNs hold < and & that are easier to read as they are; whoever
	// puts this into a page escapes it again.
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return b.Bytes(), err
}

func (p *PolicyTrace) json() policyTraceJSON {
	out := policyTraceJSON{Layer: p.Layer.String(), Policy: p.ID, Version: p.Version, Statements: []statementTraceJSON{}}
	for _, st := range p.Statements {
		s := statementTraceJSON{Statement: st.Index + 1, Sid: st.Sid, Effect: st.Effect, Line: st.Start.Line, Matched: st.Matched}
		for _, m := range st.Misses {
			s.Misses = append(s.Misses, missJSON(m))
		}
		for _, c := range st.Conditions {
			s.Conditions = append(s.Conditions, conditionTraceJSON(c))
		}
		for _, e := range st.Elements {
			s.Elements = append(s.Elements, elementJSON(e))
		}
		out.Statements = append(out.Statements, s)
	}
	return out
}

// UnmarshalJSON reads what MarshalJSON wrote. Of positions only the line of a
// statement's start comes back.
func (x *Explanation) UnmarshalJSON(b []byte) error {
	var in explanationJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*x = Explanation{Caller: in.Caller, Action: in.Action, Resource: in.Resource, Account: in.Account, Withheld: in.Withheld}
	var err error
	if x.Decision.Outcome, err = parseOutcome(in.Decision); err != nil {
		return err
	}
	if x.Decision.Layer, err = parseLayer(in.Layer); err != nil {
		return err
	}
	x.Decision.Statement = -1
	if d := in.DecidedBy; d != nil {
		x.Decision.Source, x.Decision.Version, x.Decision.Sid, x.Decision.Statement = d.Policy, d.Version, d.Sid, d.Statement-1
	}
	for i := range in.Policies {
		p, err := in.Policies[i].trace()
		if err != nil {
			return err
		}
		x.Policies = append(x.Policies, p)
	}
	for _, c := range in.Changes {
		layer, err := parseLayer(c.Layer)
		if err != nil {
			return err
		}
		x.Changes = append(x.Changes, Change{layer, c.Text, c.Add, c.Nearest})
	}
	return nil
}

func (p *policyTraceJSON) trace() (PolicyTrace, error) {
	layer, err := parseLayer(p.Layer)
	out := PolicyTrace{Layer: layer, ID: p.Policy, Version: p.Version}
	for _, s := range p.Statements {
		st := StatementTrace{Index: s.Statement - 1, Sid: s.Sid, Effect: s.Effect, Start: Position{Line: s.Line}, Matched: s.Matched}
		for _, m := range s.Misses {
			st.Misses = append(st.Misses, Miss(m))
		}
		for _, c := range s.Conditions {
			st.Conditions = append(st.Conditions, ConditionTrace(c))
		}
		for _, e := range s.Elements {
			st.Elements = append(st.Elements, Element(e))
		}
		out.Statements = append(out.Statements, st)
	}
	return out, err
}

func parseOutcome(s string) (Outcome, error) {
	for o := ImplicitDeny; o <= Allow; o++ {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("no outcome of a decision: %q", s)
}

func parseLayer(s string) (Layer, error) {
	for l := LayerIdentity; l <= LayerRoot; l++ {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("no layer of a decision: %q", s)
}
