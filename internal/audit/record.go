package audit

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/wire"
)

// Evidence is what a wire.Decision's Evidence offers to have the decision
// explained in the record; a policy.Decision itself will do as well.
type Evidence interface {
	// Deciding returns the decision with its deciding policy and statement.
	Deciding() policy.Decision
}

// limits are how long the parts of a record may be, in bytes of JSON.
type limits struct {
	name, arn, agent, message                      int
	request, response, extra, resources, decisions int
}

// In full form a record's parts add up to less than maxEvent, in short form to
// less than leastEvent, which is all the room that a call is sure to have.
var (
	fullLimits = limits{
		name: 512, arn: 1024, agent: 1024, message: 2048,
		request: 32 << 10, response: 6 << 10, extra: 4 << 10, resources: 4 << 10, decisions: 4 << 10,
	}
	shortLimits = limits{
		name: 128, arn: 512, agent: 256, message: 896,
		request: 64, response: 64, extra: 64, resources: 700, decisions: 700,
	}
)

const (
	// maxMember bounds a name or text inside responseElements and
	// additionalEventData.
	maxMember = 4 << 10

	// omitted stands for a member that was too large (spec audit-events.md 1.2).
	omitted = `{"omitted":true}`

	eventVersion = "1.11"
	// own is the name under which the node itself appears in records.
	own = "strongroom"
	// unknown is the identity type of callers without a principal.
	unknown = "Unknown"
)

// renderer encodes the records of one call. It writes by hand and appends only:
// records are most of what a read costs besides TLS.
type renderer struct {
	*limits
	call *wire.Call
	// recipient is the account that the record is for; shared is the
	// sharedEventID, "" when there is only one record.
	recipient, shared string
	// copied marks the record for an account that is not the caller's.
	copied bool
	// recovered marks a record that is written with a change, and enters the
	// chain only if a crash comes between the two.
	recovered bool
	// doubtful marks the record of a call whose change may or may not be committed.
	doubtful bool
}

// append appends the record as one JSON object, with the members in the order
// of CloudTrail's own (spec secretsmanager.md 14.1) and at the end ours, named
// "strongroom".
func (r *renderer) append(b []byte) []byte {
	c := r.call
	service := own
	if c.Service != nil {
		service = c.Service.EventSource
	}
	// Calls by a service on somebody's behalf, and by itself, show the service
	// where the caller's address and agent would stand (spec audit-events.md 1.2,
	// secretsmanager.md 13.4 and 14.2).
	by := c.Via
	if c.EventType == wire.EventServiceEvent {
		by = service
	}
	b = append(b, `{"eventVersion":"`+eventVersion+`","userIdentity":`...)
	b = r.identity(b, by)
	b = append(b, `,"eventTime":`...)
	b = appendTime(b, c.Start)
	b = appendMember(b, "eventSource", service, r.name)
	b = appendMember(b, "eventName", c.Operation, r.name)
	b = appendMember(b, "awsRegion", c.Region, r.name)
	if by != "" {
		b = appendMember(b, "sourceIPAddress", by, r.name)
		b = appendMember(b, "userAgent", by, r.name)
	} else {
		switch {
		case c.Source.IsValid():
			b = append(b, `,"sourceIPAddress":"`...)
			b = append(c.Source.AppendTo(b), '"')
		case c.SourceName != "":
			b = appendMember(b, "sourceIPAddress", c.SourceName, r.name)
		default:
			b = appendMember(b, "sourceIPAddress", own, r.name)
		}
		b = appendMember(b, "userAgent", c.UserAgent, r.agent)
	}
	code, message := outcome(c)
	if code != "" {
		b = appendMember(b, "errorCode", code, r.name)
	}
	if message != "" {
		b = appendMember(b, "errorMessage", message, r.message)
	}
	b = append(b, `,"requestParameters":`...)
	b = r.parameters(b, code)
	b = append(b, `,"responseElements":`...)
	b = r.object(b, c.ResponseElements, r.response, c.Err != nil)
	if len(c.Extra) > 0 {
		b = append(b, `,"additionalEventData":`...)
		b = r.object(b, c.Extra, r.extra, false)
	}
	b = appendMember(b, "requestID", c.RequestID, r.arn)
	b = appendMember(b, "eventID", r.eventID(), r.name)
	b = append(b, `,"readOnly":`...)
	b = strconv.AppendBool(b, c.ReadOnly)
	b, left := r.touched(b)
	b = appendMember(b, "eventType", c.EventType, r.name)
	b = append(b, `,"managementEvent":true`...)
	b = appendMember(b, "recipientAccountId", r.recipient, r.name)
	if r.shared != "" {
		b = appendMember(b, "sharedEventID", r.shared, r.name)
	}
	if e := c.Endpoint; e != nil {
		b = appendMember(b, "vpcEndpointId", e.ID, r.name)
		b = appendMember(b, "vpcEndpointAccountId", e.Account, r.name)
	}
	b = append(b, `,"eventCategory":"Management"`...)
	if by == "" && c.TLS.Version != "" {
		b = append(b, `,"tlsDetails":{"tlsVersion":`...)
		b = appendText(b, c.TLS.Version, r.name)
		b = appendMember(b, "cipherSuite", c.TLS.Cipher, r.name)
		b = appendMember(b, "clientProvidedHostHeader", c.TLS.Host, r.name)
		b = append(b, '}')
	}
	b = r.ours(b, left)
	return append(b, '}')
}

// eventID returns the id of this record. A copy's follows from the call's, so
// that a recovered copy is recognised as the one that is there already.
func (r *renderer) eventID() string {
	if !r.copied {
		return r.call.EventID
	}
	return derivedID(r.call.EventID, r.recipient)
}

// derivedID makes an id of version 8 (RFC 9562 5.8) from another and a purpose.
func derivedID(id, purpose string) string {
	h := sha256.Sum256([]byte(id + "/" + purpose))
	return formatID([16]byte(h[:16]), 8)
}

// formatID prints 16 bytes as an id of a version.
func formatID(u [16]byte, version byte) string {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	b := make([]byte, 0, 36)
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return string(b)
}

// identity appends userIdentity (spec audit-events.md 1.2, the table).
func (r *renderer) identity(b []byte, by string) []byte {
	p := r.call.Principal
	switch {
	case p == nil:
		return append(b, `{"type":"`+unknown+`"}`...)
	case r.call.EventType == wire.EventServiceEvent:
		// No type, as in the service events of spec secretsmanager.md 14.2.
		b = append(b, `{"accountId":`...)
		b = appendText(b, p.Account, r.name)
		b = appendMember(b, "invokedBy", by, r.name)
		return append(b, '}')
	case p.Type == aws.PrincipalService:
		b = append(b, `{"type":"AWSService"`...)
		b = appendMember(b, "invokedBy", p.Service, r.name)
		return append(b, '}')
	case p.Type == aws.PrincipalWebIdentity:
		// CloudTrail's form of callers that a provider vouches for (CloudTrail User
		// Guide, "userIdentity element").
		b = append(b, `{"type":"WebIdentityUser"`...)
		b = appendMember(b, "principalId", p.UserID, r.name)
		b = appendMember(b, "userName", p.UserName, r.name)
		b = appendMember(b, "identityProvider", p.Provider, r.name)
		return append(b, '}')
	case r.copied:
		// Another account learns who called by id, not by name.
		b = append(b, `{"type":"AWSAccount"`...)
		b = appendMember(b, "principalId", p.UserID, r.name)
		b = appendMember(b, "accountId", p.Account, r.name)
	default:
		b = append(b, `{"type":"`...)
		b = append(b, identityType(p.Type)...)
		b = append(b, '"')
		b = appendMember(b, "principalId", p.UserID, r.name)
		b = appendMember(b, "arn", p.ARN, r.arn)
		b = appendMember(b, "accountId", p.Account, r.name)
		if p.AccessKeyID != "" {
			b = appendMember(b, "accessKeyId", p.AccessKeyID, r.name)
		}
		if p.UserName != "" {
			b = appendMember(b, "userName", p.UserName, r.name)
		}
		if p.Session != nil {
			b = r.session(b, p)
		}
	}
	if by != "" {
		b = appendMember(b, "invokedBy", by, r.name)
	}
	return append(b, '}')
}

func identityType(t aws.PrincipalType) string {
	switch t {
	case aws.PrincipalUser:
		return "IAMUser"
	case aws.PrincipalAssumedRole, aws.PrincipalFederatedUser, aws.PrincipalRoot:
		return string(t)
	}
	return unknown
}

// session appends sessionContext: who gave the session, when, and whether with
// a second factor; which provider vouched for its holder, and who that was before
// roles were taken.
func (r *renderer) session(b []byte, p *aws.Principal) []byte {
	b = append(b, `,"sessionContext":{`...)
	if issuer, kind := sessionIssuer(p); issuer != "" {
		b = append(b, `"sessionIssuer":{"type":"`...)
		b = append(b, kind...)
		b = append(b, '"')
		if p.EntityID != "" {
			b = appendMember(b, "principalId", p.EntityID, r.name)
		}
		b = appendMember(b, "arn", issuer, r.arn)
		a, _ := aws.ParseARN(issuer)
		b = appendMember(b, "accountId", a.Account, r.name)
		if kind != string(aws.PrincipalRoot) {
			b = appendMember(b, "userName", a.Resource[strings.LastIndexByte(a.Resource, '/')+1:], r.name)
		}
		b = append(b, `},`...)
	}
	if p.Session.Provider != "" {
		b = append(b, `"webIdFederationData":{"federatedProvider":`...)
		b = appendText(b, p.Session.Provider, r.name)
		b = append(b, `,"attributes":{}},`...)
	}
	b = append(b, `"attributes":{"creationDate":`...)
	b = appendTime(b, p.Session.Issued)
	b = append(b, `,"mfaAuthenticated":"`...)
	b = strconv.AppendBool(b, p.Session.MFA)
	b = append(b, `"}`...)
	if p.Session.SourceIdentity != "" {
		b = appendMember(b, "sourceIdentity", p.Session.SourceIdentity, r.name)
	}
	return append(b, '}')
}

// sessionIssuer is the role or user whose session it is, where it is another one
// than the caller.
func sessionIssuer(p *aws.Principal) (arn, kind string) {
	switch {
	case p.UserARN == "":
		return p.RoleARN, "Role"
	case p.UserARN == aws.RootARN(p.Account):
		return p.UserARN, string(aws.PrincipalRoot)
	}
	return p.UserARN, "IAMUser"
}

// accessDenied is how CloudTrail spells every service's refusal (spec
// audit-events.md 1.2).
const accessDenied = "AccessDenied"

// outcome returns errorCode and errorMessage.
func outcome(c *wire.Call) (code, message string) {
	if c.Err == nil {
		return "", ""
	}
	e, ok := errors.AsType[*aws.Error](c.Err)
	if !ok {
		// Nothing of an error that is not for callers is for records either: it
		// may quote what it failed on.
		if c.Service == nil || c.Service.InternalCode == "" {
			return "InternalFailure", ""
		}
		return c.Service.InternalCode, ""
	}
	if e.Code == accessDenied+"Exception" {
		return accessDenied, e.Message
	}
	// A service event has a message only (spec secretsmanager.md 14.2).
	if c.EventType == wire.EventServiceEvent {
		return "", e.Message
	}
	return e.Code, e.Message
}

// parameters appends requestParameters.
func (r *renderer) parameters(b []byte, code string) []byte {
	c := r.call
	// A refused call to Secrets Manager shows none (spec audit-events.md 1.2).
	if c.Input == nil || code == accessDenied && c.Service != nil && c.Service.Name == "secretsmanager" {
		return append(b, "null"...)
	}
	return bounded(b, len(b)+r.request, c.AppendRequestParameters(b))
}

// object appends a member that slices fill, or null.
func (r *renderer) object(b []byte, m map[string]any, limit int, null bool) []byte {
	if null || len(m) == 0 {
		return append(b, "null"...)
	}
	return bounded(b, len(b)+limit, appendObject(b, m, 0))
}

// bounded returns longer, or shorter with the sign of omission if longer is
// longer than limit.
func bounded(shorter []byte, limit int, longer []byte) []byte {
	if len(longer) > limit {
		return append(shorter, omitted...)
	}
	return longer
}

// touched appends resources and returns how many were left out.
func (r *renderer) touched(b []byte) ([]byte, int) {
	list := r.call.Resources
	if len(list) == 0 {
		return b, 0
	}
	start := len(b)
	b = append(b, `,"resources":[`...)
	for i, x := range list {
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"accountId":`...)
		b = appendText(b, x.Account, r.name)
		b = appendMember(b, "type", x.Type, r.name)
		b = appendMember(b, "ARN", x.ARN, r.arn)
		b = append(b, '}')
		if len(b)-start > r.resources && i > 0 {
			return append(b[:before], ']'), len(list) - i
		}
	}
	return append(b, ']'), 0
}

// ours appends the member "strongroom", which is not CloudTrail's: the
// decisions, with the layer, policy, version and statement (by index) that each
// rests on; how many resources or decisions found no room; whether the record was
// recovered; and whether nobody knew, when it was written, if the change took
// effect. The owner's account is not told of the caller's
// policies, nor the other way round.
func (r *renderer) ours(b []byte, resourcesLeft int) []byte {
	b = append(b, `,"strongroom":{"decisions":[`...)
	start := len(b)
	list := r.call.Decisions
	decisionsLeft := 0
	for i := range list {
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		b = r.decision(b, &list[i])
		if len(b)-start > r.decisions && i > 0 {
			b, decisionsLeft = b[:before], len(list)-i
			break
		}
	}
	b = append(b, ']')
	if resourcesLeft > 0 {
		b = append(b, `,"omittedResources":`...)
		b = strconv.AppendInt(b, int64(resourcesLeft), 10)
	}
	if decisionsLeft > 0 {
		b = append(b, `,"omittedDecisions":`...)
		b = strconv.AppendInt(b, int64(decisionsLeft), 10)
	}
	if r.recovered {
		b = append(b, `,"recovered":true`...)
	}
	if r.doubtful {
		b = append(b, `,"outcome":"unknown"`...)
	}
	return append(b, '}')
}

func (r *renderer) decision(b []byte, d *wire.Decision) []byte {
	b = append(b, `{"action":`...)
	b = appendText(b, d.Action, r.name)
	b = appendMember(b, "resource", d.Resource, r.arn)
	var p policy.Decision
	switch e := d.Evidence.(type) {
	case policy.Decision:
		p = e
	case Evidence:
		p = e.Deciding()
	default:
		if d.Allowed {
			return append(b, `,"decision":"allow"}`...)
		}
		return append(b, `,"decision":"deny"}`...)
	}
	b = append(b, `,"decision":"`...)
	b = append(b, p.Outcome.String()...)
	b = append(b, '"')
	owners := p.Layer == policy.LayerResource || p.Layer == policy.LayerTrust
	foreign := r.copied != owners && r.shared != ""
	if foreign {
		return append(b, '}')
	}
	b = appendMember(b, "layer", p.Layer.String(), r.name)
	if p.Source != "" {
		b = appendMember(b, "policy", p.Source, r.arn)
		if p.Version != "" {
			b = appendMember(b, "version", p.Version, r.name)
		}
		b = append(b, `,"statement":`...)
		b = strconv.AppendInt(b, int64(p.Statement), 10)
	}
	return append(b, '}')
}

// appendNodeEvent appends a record of the node about itself. details is JSON.
func (l *Log) appendNodeEvent(b []byte, name string, at time.Time, details []byte) []byte {
	b = append(b, `{"eventVersion":"`+eventVersion+`","userIdentity":{"accountId":`...)
	b = appendText(b, l.cfg.Account, shortLimits.name)
	b = append(b, `,"invokedBy":"`+own+`"},"eventTime":`...)
	b = appendTime(b, at)
	b = append(b, `,"eventSource":"`+own+`"`...)
	b = appendMember(b, "eventName", name, shortLimits.name)
	b = append(b, `,"awsRegion":"","sourceIPAddress":"`+own+`","userAgent":"`+own+`","requestParameters":null,"responseElements":null`...)
	b = appendMember(b, "eventID", randomID(), shortLimits.name)
	b = append(b, `,"readOnly":false,"eventType":"AwsServiceEvent","managementEvent":true`...)
	b = appendMember(b, "recipientAccountId", l.cfg.Account, shortLimits.name)
	b = append(b, `,"eventCategory":"Management","serviceEventDetails":`...)
	b = append(b, details...)
	return append(b, '}')
}
