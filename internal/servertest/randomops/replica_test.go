package randomops

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// wrongRegions are the regions that cannot hold a replica (6).
func wrongRegions(o op) answer {
	for _, r := range o.objects("AddReplicaRegions") {
		if r["Region"] == o.region {
			return fail("InvalidParameterException", "Invalid replica region.")
		}
	}
	return answer{}
}

func (s *secret) regions() (names []string) {
	for _, r := range s.replicas {
		names = append(names, r.region)
	}
	return names
}

func (m *model) replicationStatus(s *secret) []object {
	list := []object{}
	for _, r := range s.replicas {
		e := object{"Region": r.region, "KmsKeyId": cmp.Or(r.key, defaultAlias), "Status": r.status, "StatusMessage": r.message}
		if r.message == "" {
			delete(e, "StatusMessage")
		}
		if c := m.copyOf(s, r.region); c != nil && !c.accessed.IsZero() {
			e["LastAccessedDate"] = seconds(c.accessed)
		}
		list = append(list, e)
	}
	return list
}

// addRegions starts replication (6); the copies are made by the jobs. The caller's
// rights on both keys are tried at once and show in the status.
func (m *model) addRegions(o op, s *secret) {
	var fresh []*replica
	for _, add := range o.objects("AddReplicaRegions") {
		region, _ := add["Region"].(string)
		keyID, _ := add["KmsKeyId"].(string)
		asked := keyID
		if i := slices.IndexFunc(s.replicas, func(r *replica) bool { return r.region == region }); i >= 0 {
			if s.replicas[i].status != "Failed" {
				continue // already there: nothing
			}
			if m.copyOf(s, region) != nil {
				keyID = s.replicas[i].key // only UpdateSecret changes it (not specified)
			}
			s.replicas = slices.Delete(s.replicas, i, i+1)
		}
		r := &replica{region: region, key: keyID, status: "InProgress", force: o.flag("ForceOverwriteReplicaSecret"), by: o.who, due: m.clock.t}
		target := &secret{account: s.account, region: region}
		if !m.mayReplicate(o, s, s.key) || !m.mayReplicate(o, target, asked) {
			r.status, r.message = "Failed", anything
		}
		fresh = append(fresh, r)
	}
	if len(fresh) == 0 {
		return
	}
	m.touch(s)
	s.replicas = append(s.replicas, fresh...)
	slices.SortFunc(s.replicas, func(a, b *replica) int { return strings.Compare(a.region, b.region) })
	s.primary = s.region
}

// mayReplicate says whether a caller may encrypt and decrypt with a secret's key.
func (m *model) mayReplicate(o op, s *secret, id string) bool {
	_, a := m.validateKey(o, s, id)
	return a.code == ""
}

// replicate is ReplicateSecretToRegions (6).
func (m *model) replicate(o op) answer {
	if badName(o.text("SecretId")) {
		return errName
	}
	if a := wrongRegions(o); a.code != "" {
		return a
	}
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	m.addRegions(o, s)
	return ok(object{"ARN": s.arn(), "ReplicationStatus": m.replicationStatus(s)})
}

// removeRegions is RemoveRegionsFromReplication: the copies go at once (6).
func (m *model) removeRegions(o op) answer {
	s, a := m.enter(o, false, false)
	if a.code != "" {
		return a
	}
	for _, region := range o.texts("RemoveReplicaRegions") {
		if !slices.Contains(s.regions(), region) {
			continue // not an error
		}
		if c := m.copyOf(s, region); c != nil {
			m.drop(c)
		}
		m.unlink(s, region)
		m.touch(s)
	}
	return ok(object{"ARN": s.arn(), "ReplicationStatus": m.replicationStatus(s)})
}

// copyOf is the replica of s in a region.
func (m *model) copyOf(s *secret, region string) *secret {
	c := m.byName(s.account, region, s.name)
	if c == nil || c.primary != s.region || c.suffix != s.suffix {
		return nil
	}
	return c
}

// unlink takes a region off the primary; without replicas it is none any more.
func (m *model) unlink(s *secret, region string) {
	s.replicas = slices.DeleteFunc(s.replicas, func(r *replica) bool { return r.region == region })
	if len(s.replicas) == 0 {
		s.primary = ""
	}
}

func (m *model) drop(s *secret) {
	m.secrets = slices.DeleteFunc(m.secrets, func(x *secret) bool { return x == s })
}

// stopReplication is StopReplicationToReplica, called in the replica's region (6).
func (m *model) stopReplication(o op) answer {
	s, a := m.enter(o, false, true)
	if a.code != "" {
		return a
	}
	if !s.isReplica() {
		return fail("InvalidParameterException", anything)
	}
	if p := m.byName(s.account, s.primary, s.name); p != nil {
		m.unlink(p, s.region)
	}
	s.primary = ""
	m.touch(s)
	return ok(object{"ARN": s.arn()})
}

// jobs is one run of the servers' own work: the days of reads become known to
// lists, copies that are due are made, the longest due first, secrets whose window has ended are purged.
func (m *model) jobs() answer {
	for _, s := range m.secrets {
		s.listed = s.accessed
	}
	type task struct {
		s *secret
		r *replica
	}
	var tasks []task
	for _, s := range m.secrets {
		for _, r := range s.replicas {
			if !r.due.IsZero() {
				tasks = append(tasks, task{s, r})
			}
		}
	}
	slices.SortFunc(tasks, func(a, b task) int { return a.r.due.Compare(b.r.due) })
	for _, t := range tasks {
		if slices.Contains(m.secrets, t.s) { // else overwritten by an earlier copy
			t.r.due = time.Time{}
			m.copyTo(t.s, t.r)
		}
	}
	m.secrets = slices.DeleteFunc(m.secrets, func(s *secret) bool {
		return !s.deleted.IsZero() && !s.purge.After(m.clock.t)
	})
	return ok(object{})
}

// copyTo makes or renews a replica (6), with the rights of who asked for it. It is
// all or nothing.
func (m *model) copyTo(s *secret, r *replica) {
	have := m.copyOf(s, r.region)
	blocking := m.byName(s.account, r.region, s.name)
	if have == nil && blocking != nil && !r.force {
		r.status, r.message = "Failed", anything // two texts are known, neither confirmed
		return
	}
	c := &secret{account: s.account, region: r.region, name: s.name, suffix: s.suffix, primary: s.region, key: r.key, created: m.clock.t}
	if have != nil {
		c.key, c.created, c.accessed, c.listed = have.key, have.created, have.accessed, have.listed
	}
	k, a := m.resolveKey(c.account, c.region, c.key)
	for _, v := range s.versions {
		made := &version{id: v.id, value: v.value, created: v.created, key: k}
		if old := have.version(v.id); old != nil && old.created.Equal(v.created) { // else pruned, and its token used again
			made.accessed, made.key = old.accessed, old.key
		} else if a.code != "" || m.open(r.by, s, v).code != "" || m.seal(r.by, c, k).code != "" {
			r.status, r.message = "Failed", anything
			return
		}
		made.stages = slices.Clone(v.stages)
		c.versions = append(c.versions, made)
	}
	c.description, c.changed, c.token = s.description, s.changed, s.token
	c.tags, c.tagged, c.policy = slices.Clone(s.tags), s.tagged, s.policy
	for _, old := range []*secret{have, blocking} {
		if old != nil {
			m.drop(old)
		}
	}
	m.secrets = append(m.secrets, c)
	r.status, r.message = "InSync", "Replication succeeded"
}
