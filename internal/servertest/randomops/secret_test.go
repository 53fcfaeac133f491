package randomops

import (
	"slices"
	"strings"
	"time"
)

// given is the value of a request: its kind and content, "" when there is none.
func given(o op) string {
	switch {
	case o.has("SecretString"):
		return "string " + o.text("SecretString")
	case o.has("SecretBinary"):
		return "binary " + o.text("SecretBinary")
	}
	return ""
}

// show adds a value to an answer under its kind's name.
func (v *version) show(b object) object {
	kind, content, _ := strings.Cut(v.value, " ")
	b[map[string]string{"string": "SecretString", "binary": "SecretBinary"}[kind]] = content
	return b
}

func both(o op) bool { return o.has("SecretString") && o.has("SecretBinary") }

// create is 2.3.
func (m *model) create(o op) answer {
	name, token := o.text("Name"), o.text("ClientRequestToken")
	switch {
	case token == "":
		return errToken
	case !nameChars.MatchString(name):
		return errName
	case both(o):
		return errBoth
	}
	if a := wrongTags(o, nil, m.limits.tags); a.code != "" {
		return a
	}
	if a := wrongRegions(o); a.code != "" {
		return a
	}
	account := principals[o.who].account
	// 10.1, 10.2: what comes with it needs its own permission.
	actions := []string{"CreateSecret"}
	if len(o.objects("Tags")) > 0 {
		actions = append(actions, "TagResource")
	}
	if len(o.objects("AddReplicaRegions")) > 0 {
		actions = append(actions, "ReplicateSecretToRegions")
	}
	for _, action := range actions {
		if a := m.authorize(o.who, action, name, place{account: account, region: o.region, name: name}); a.code != "" {
			return a
		}
	}
	if s := m.byName(account, o.region, name); s != nil {
		return m.createAgain(o, s)
	}
	s := &secret{account: account, region: o.region, name: name, description: o.text("Description"), key: o.text("KmsKeyId"),
		token: token, created: m.clock.t, changed: m.clock.t}
	k, a := m.validateKey(o, s, s.key)
	if a.code != "" {
		return a
	}
	if given(o) != "" {
		if a := m.seal(o.who, s, k); a.code != "" {
			return a
		}
		s.versions = []*version{{id: token, value: given(o), stages: []string{current}, created: m.clock.t, key: k}}
	}
	s.merge(o.objects("Tags"))
	s.suffix = suffix(o)
	m.secrets = append(m.secrets, s)
	m.addRegions(o, s)
	return ok(m.created(o, s))
}

func (m *model) created(o op, s *secret) object {
	b := named(s)
	if given(o) != "" {
		b["VersionId"] = o.text("ClientRequestToken")
	}
	if o.has("AddReplicaRegions") && len(s.replicas) > 0 {
		b["ReplicationStatus"] = m.replicationStatus(s)
	}
	return b
}

// createAgain is a create under a name in use (2.3, 4 and 5).
func (m *model) createAgain(o op, s *secret) answer {
	if !s.deleted.IsZero() {
		return fail("InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	v := s.version(o.text("ClientRequestToken"))
	if v == nil && given(o) == "" && s.token == o.text("ClientRequestToken") {
		return ok(m.created(o, s))
	}
	// A token in use, but by a version and now without a value: not specified.
	if v == nil || given(o) == "" {
		return fail("ResourceExistsException", "The operation failed because the secret %s already exists.", s.name)
	}
	if a := m.open(o.who, s, v); a.code != "" {
		return a
	}
	if v.value != given(o) {
		return errReused(v.id, s)
	}
	return ok(m.created(o, s))
}

// put is 2.4.
func (m *model) put(o op) answer {
	switch {
	case o.text("ClientRequestToken") == "":
		return errToken
	case badName(o.text("SecretId")):
		return errName
	case both(o):
		return errBoth
	case given(o) == "":
		return fail("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	if a := foreign(o.who, s, byDefault(s.key)); a.code != "" {
		return a
	}
	v, a := m.newVersion(o, s, s.key, o.texts("VersionStages"))
	if a.code != "" {
		return a
	}
	b := named(s)
	b["VersionId"] = v.id
	if len(v.stages) > 0 { // a retry for a version that is deprecated by now: 1.2
		b["VersionStages"] = v.stages
	}
	return ok(b)
}

// newVersion adds the request's value under its token, or finds the version made
// by an earlier, equal request (2.4, 2).
func (m *model) newVersion(o op, s *secret, keyID string, stages []string) (*version, answer) {
	token := o.text("ClientRequestToken")
	if v := s.version(token); v != nil {
		if a := m.open(o.who, s, v); a.code != "" {
			return nil, a
		}
		if v.value != given(o) {
			return nil, errReused(token, s)
		}
		return v, answer{}
	}
	k, a := m.resolveKey(s.account, s.region, keyID)
	if a.code != "" {
		return nil, a
	}
	if a := m.seal(o.who, s, k); a.code != "" {
		return nil, a
	}
	// Quotas are met last: what 2.2 calls content does not name them.
	after := s.plan(token, stages)
	if total(after) > m.limits.labels {
		return nil, fail("LimitExceededException", anything)
	}
	if a := m.makeRoom(s, after); a.code != "" {
		return nil, a
	}
	v := &version{id: token, value: given(o), created: m.clock.t, key: k}
	s.versions = append(s.versions, v)
	s.relabel(after)
	m.touch(s)
	return v, answer{}
}

// update is 2.5.
func (m *model) update(o op) answer {
	value := given(o) != ""
	switch {
	case value && o.text("ClientRequestToken") == "":
		return errToken
	case badName(o.text("SecretId")):
		return errName
	case both(o):
		return errBoth
	}
	s, a := m.enter(o, false, true)
	if a.code != "" {
		return a
	}
	if s.isReplica() && (value || o.has("Description") || !o.has("KmsKeyId")) { // 6: only the key
		return errReplica
	}
	keyID, moveTo := s.key, (*key)(nil)
	if o.has("KmsKeyId") {
		keyID = o.text("KmsKeyId")
	}
	if value || o.has("KmsKeyId") { // 7.5 names only Get and Put; this reads and writes just so
		if a := foreign(o.who, s, byDefault(s.key) || byDefault(keyID)); a.code != "" {
			return a
		}
	}
	if o.has("KmsKeyId") {
		if moveTo, a = m.validateKey(o, s, keyID); a.code != "" {
			return a
		}
		for _, v := range s.versions { // 13.3: needs Decrypt on the old key
			if a := m.open(o.who, s, v); moved(v) && a.code == errKMS.code {
				return a
			}
		}
	}
	labelled := slices.Clone(s.versions) // as they are now, before the new one joins
	labelled = slices.DeleteFunc(labelled, func(v *version) bool { return !moved(v) })
	b := named(s)
	if value {
		v, a := m.newVersion(o, s, keyID, nil)
		if a.code != "" {
			return a
		}
		b["VersionId"] = v.id
	}
	if o.has("KmsKeyId") {
		m.reencrypt(o.who, s, labelled, keyID, moveTo)
	}
	if o.has("Description") {
		s.description = o.text("Description")
		m.touch(s)
	}
	return ok(b)
}

// moved says whether a version moves to a new key: those with AWS's labels.
func moved(v *version) bool {
	return slices.ContainsFunc(v.stages, func(l string) bool { return l == current || l == pending || l == previous })
}

// reencrypt moves a secret to another key (13.3). What nobody can open, since its key
// is disabled, stays under the old one; the specification says so only of what the
// caller may not encrypt. The primary of a replica shows its new key.
func (m *model) reencrypt(who int, s *secret, labelled []*version, id string, k *key) {
	s.key = id
	for _, v := range labelled {
		if m.open(who, s, v).code == "" && m.mayUse(who, "Encrypt", k, s.account) {
			v.key = k
		}
	}
	if p := m.byName(s.account, s.primary, s.name); s.isReplica() && p != nil && m.copyOf(p, s.region) == s {
		for _, r := range p.replicas {
			if r.region == s.region {
				r.key = id
			}
		}
	}
	m.touch(s)
}

// get is 2.6.
func (m *model) get(o op) answer {
	s, a := m.enter(o, false, true)
	if a.code != "" {
		return a
	}
	return m.read(o.who, s, o.text("VersionId"), o.text("VersionStage"))
}

func (m *model) read(who int, s *secret, id, label string) answer {
	var v *version
	switch {
	case id != "":
		if v = s.version(id); v == nil {
			return noVersion(id)
		}
		if label != "" && !slices.Contains(v.stages, label) {
			return fail("InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
		}
	default:
		if label == "" {
			label = current
		}
		if v = s.holder(label); v == nil {
			return noValue(label)
		}
	}
	if a := foreign(who, s, v.key == nil); a.code != "" {
		return a
	}
	if a := m.open(who, s, v); a.code != "" {
		return a
	}
	today := m.clock.t.Truncate(24 * time.Hour) // 11: the UTC day
	v.accessed, s.accessed = today, today
	b := v.show(named(s))
	b["VersionId"], b["CreatedDate"] = v.id, seconds(v.created)
	if len(v.stages) > 0 {
		b["VersionStages"] = v.stages
	}
	return ok(b)
}

// describe is 2.8.
func (m *model) describe(o op) answer {
	s, a := m.enter(o, true, true)
	if a.code != "" {
		return a
	}
	b := s.members()
	if len(s.replicas) > 0 {
		b["ReplicationStatus"] = m.replicationStatus(s)
	}
	if labels := s.labels(); len(labels) > 0 {
		b["VersionIdsToStages"] = labels
	}
	return ok(b)
}

// members are those that DescribeSecret and ListSecrets share.
func (s *secret) members() object {
	b := named(s)
	b["CreatedDate"], b["LastChangedDate"] = seconds(s.created), seconds(s.changed)
	for k, v := range map[string]string{"Description": s.description, "KmsKeyId": s.key, "PrimaryRegion": s.primary} {
		if v != "" {
			b[k] = v
		}
	}
	if s.isReplica() && s.key == "" {
		b["KmsKeyId"] = defaultAlias
	}
	for k, t := range map[string]time.Time{"LastAccessedDate": s.accessed, "DeletedDate": s.deleted} {
		if !t.IsZero() {
			b[k] = seconds(t)
		}
	}
	if s.tagged {
		list := []object{}
		for _, t := range s.tags {
			list = append(list, object{"Key": t.key, "Value": t.value})
		}
		b["Tags"] = list
	}
	return b
}

func (s *secret) labels() object {
	labels := object{}
	for _, v := range s.versions {
		if len(v.stages) > 0 {
			labels[v.id] = v.stages
		}
	}
	return labels
}

// listVersions is 2.10; newest first (3.5).
func (m *model) listVersions(o op) answer {
	s, a := m.enter(o, true, true)
	if a.code != "" {
		return a
	}
	if o.has("NextToken") {
		return fail("InvalidNextTokenException", anything)
	}
	list := []object{}
	for _, v := range slices.Backward(s.versions) {
		if len(v.stages) == 0 && !o.flag("IncludeDeprecated") {
			continue
		}
		e := object{"VersionId": v.id, "CreatedDate": seconds(v.created), "KmsKeyIds": []string{"DefaultEncryptionKey"}}
		if len(v.stages) > 0 {
			e["VersionStages"] = v.stages
		}
		if !v.accessed.IsZero() {
			e["LastAccessedDate"] = seconds(v.accessed)
		}
		if v.key != nil {
			e["KmsKeyIds"] = []string{v.key.arn()}
		}
		list = append(list, e)
	}
	b := named(s)
	b["Versions"] = list
	return ok(b)
}

// remove is 4.1.
func (m *model) remove(o op) answer {
	id, force := o.text("SecretId"), o.flag("ForceDeleteWithoutRecovery")
	if badName(id) {
		return errName
	}
	window := 30
	if o.has("RecoveryWindowInDays") {
		if window = o.number("RecoveryWindowInDays"); window < 7 || window > 30 {
			return fail("InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
		if force {
			return fail("InvalidParameterException", "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
	}
	at := m.find(o, id)
	if a := m.authorize(o.who, o.name, id, at); a.code != "" {
		return a
	}
	s := at.secret
	switch {
	case s == nil && force: // 4: a made-up ARN
		return ok(object{"ARN": anything, "Name": id, "DeletionDate": seconds(m.clock.t)})
	case s == nil:
		return errNotFound
	case s.isReplica():
		return errReplica
	case len(s.replicas) > 0:
		return fail("InvalidParameterException", "You can't delete secret %s that still has replica regions [%s].", id, strings.Join(s.regions(), ", "))
	case !s.deleted.IsZero() && !force:
		return errDeleted
	}
	b := named(s)
	b["DeletionDate"] = seconds(m.clock.t)
	if force { // [C]: purged at once
		m.drop(s)
		return ok(b)
	}
	s.deleted, s.purge = m.clock.t, m.clock.t.AddDate(0, 0, window)
	m.touch(s)
	b["DeletionDate"] = seconds(s.purge)
	return ok(b)
}

// restore is 4.2.
func (m *model) restore(o op) answer {
	s, a := m.enter(o, true, false)
	if a.code != "" {
		return a
	}
	if !s.deleted.IsZero() {
		s.deleted, s.purge = time.Time{}, time.Time{}
		m.touch(s)
	}
	return ok(named(s))
}
