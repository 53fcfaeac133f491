package sts

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/denial"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// DecodeAuthorizationMessage explains why a call was denied. The services here
// put no encoded message into their denials, as AWS's do not (spec
// iam-policy-evaluation.md 9), so the id of the denied request stands for one.
// What belongs to another account's callers, is too old or was no denial is
// answered like what never was.
func (s *Service) DecodeAuthorizationMessage(ctx context.Context, in *DecodeAuthorizationMessageInput) (*DecodeAuthorizationMessageOutput, error) {
	p := wire.CallFrom(ctx).Principal
	if limited(p) {
		return nil, refuse(ctx, "sts:DecodeAuthorizationMessage", "*", "Cannot call DecodeAuthorizationMessage with session credentials")
	}
	if err := s.Auth.Authorize(ctx, &auth.Request{Action: "sts:DecodeAuthorizationMessage", Resource: "*"}); err != nil {
		return nil, err
	}
	found, err := s.Denials.Find(ctx, p.Account, strings.TrimSpace(*in.EncodedMessage))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrInvalidAuthorizationMessage("Message is not valid")
	}
	b, err := json.Marshal(decode(found))
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return &DecodeAuthorizationMessageOutput{DecodedMessage: new(string(b))}, nil
}

// decoded is the message in AWS's form (spec iam-policy-evaluation.md 9), with a
// member of ours at the end. It tells what the caller's account may see. What AWS
// lists as failures is not known; the list is empty.
type decoded struct {
	Allowed           bool                    `json:"allowed"`
	ExplicitDeny      bool                    `json:"explicitDeny"`
	MatchedStatements items[matchedStatement] `json:"matchedStatements"`
	Failures          items[struct{}]         `json:"failures"`
	Context           decodedContext          `json:"context"`
	// Strongroom has every refused decision of the request, in full; the members
	// above are of the first.
	Strongroom struct {
		Denials []explained `json:"denials"`
	} `json:"strongroom"`
}

type items[T any] struct {
	Items []T `json:"items"`
}

type value struct {
	Value string `json:"value"`
}

type condition struct {
	Key    string       `json:"key"`
	Values items[value] `json:"values"`
}

type matchedStatement struct {
	StatementID     string           `json:"statementId"`
	Effect          string           `json:"effect"`
	Principals      items[value]     `json:"principals"`
	PrincipalGroups items[value]     `json:"principalGroups"`
	Actions         items[value]     `json:"actions"`
	NotActions      *items[value]    `json:"notActions,omitempty"`
	Resources       items[value]     `json:"resources"`
	NotResources    *items[value]    `json:"notResources,omitempty"`
	Conditions      items[condition] `json:"conditions"`
}

type decodedContext struct {
	Principal  decodedPrincipal `json:"principal"`
	Action     string           `json:"action"`
	Resource   string           `json:"resource"`
	Conditions items[condition] `json:"conditions"`
}

type decodedPrincipal struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	ARN  string `json:"arn"`
}

type explained struct {
	RequestID   string              `json:"requestId"`
	CallID      string              `json:"callId"`
	EventID     string              `json:"eventId"`
	Time        time.Time           `json:"time"`
	Service     string              `json:"service"`
	Operation   string              `json:"operation"`
	Via         string              `json:"via,omitempty"`
	Explanation *policy.Explanation `json:"explanation"`
	Text        string              `json:"text"`
}

func decode(denials []*denial.Denial) *decoded {
	first := denials[0]
	x := first.ForAccount()
	out := &decoded{
		ExplicitDeny:      x.Decision.Outcome == policy.ExplicitDeny,
		MatchedStatements: listOf[matchedStatement](nil),
		Failures:          listOf[struct{}](nil),
		Context: decodedContext{
			Principal: decodedPrincipal{ID: first.Principal.ID, Name: first.Principal.Name, ARN: first.Principal.ARN},
			Action:    x.Action, Resource: x.Resource, Conditions: listOf[condition](nil),
		},
	}
	for i := range x.Policies {
		for j := range x.Policies[i].Statements {
			if st := &x.Policies[i].Statements[j]; st.Matched {
				out.MatchedStatements.Items = append(out.MatchedStatements.Items, matched(st, first.Principal.ID))
			}
		}
	}
	for _, k := range first.Keys {
		out.Context.Conditions.Items = append(out.Context.Conditions.Items, condition{k.Key, valuesOf(k.Values)})
	}
	for _, d := range denials {
		x := d.ForAccount()
		out.Strongroom.Denials = append(out.Strongroom.Denials, explained{
			RequestID: d.RequestID, CallID: d.CallID, EventID: d.EventID, Time: d.Time, Service: d.Service, Operation: d.Operation,
			Via: d.Via, Explanation: x, Text: d.Text(x),
		})
	}
	return out
}

// matched is a statement that matched. One of an identity policy names the caller
// by unique id, as AWS's examples do.
func matched(st *policy.StatementTrace, callerID string) matchedStatement {
	none := listOf[value](nil)
	out := matchedStatement{
		StatementID: st.Sid, Effect: strings.ToUpper(string(st.Effect)), Principals: valuesOf([]string{callerID}),
		PrincipalGroups: none, Actions: none, Resources: none, Conditions: listOf[condition](nil),
	}
	for _, e := range st.Elements {
		list := valuesOf(e.Values)
		switch e.Name {
		case "Principal":
			out.Principals = list
		case "Action":
			out.Actions = list
		case "NotAction":
			out.NotActions = &list
		case "Resource":
			out.Resources = list
		case "NotResource":
			out.NotResources = &list
		}
	}
	for _, c := range st.Conditions {
		out.Conditions.Items = append(out.Conditions.Items, condition{c.Key, valuesOf(c.Want)})
	}
	return out
}

// listOf has an empty list printed as one.
func listOf[T any](list []T) items[T] {
	if list == nil {
		list = []T{}
	}
	return items[T]{list}
}

func valuesOf(texts []string) items[value] {
	out := listOf[value](nil)
	for _, text := range texts {
		out.Items = append(out.Items, value{text})
	}
	return out
}
