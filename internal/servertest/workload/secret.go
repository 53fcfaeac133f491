package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
	mine     = "MINE"
)

// secrets are secrets with a replica in the other region. Their facts:
//
//	secret          "live", or "deleted" while it waits for its end
//	description, key, policy, tag.KEY
//	version.ID      its labels
//	replica         the region that it is replicated to
//	far.…           the same of a former replica that is a secret of its own
var secrets = kind{
	name: "secret", weight: 6, life: 60, read: readSecret,
	hidden: func(f facts) {
		if f["secret"] == "deleted" {
			delete(f, "policy") // GetResourcePolicy refuses.
		}
	},
	ops: []op{
		{name: "secretsmanager:CreateSecret", token: true, can: func(f facts) bool { return len(f) == 0 }, apply: createSecret, do: doCreateSecret},
		{name: "secretsmanager:PutSecretValue", token: true, can: live, apply: putValue, do: doPutValue},
		{name: "secretsmanager:PutSecretValue", token: true, can: live, apply: putValue, do: doPutValue},
		{name: "secretsmanager:UpdateSecret", token: true, can: live, apply: updateSecret, do: doUpdateSecret},
		{name: "secretsmanager:UpdateSecretVersionStage", can: live, apply: moveStage, do: doMoveStage},
		{name: "secretsmanager:DeleteSecret", can: func(f facts) bool { return live(f) && !f.has("replica") && !f.has("far.secret") }, apply: deleteSecret, do: doDeleteSecret, rare: true},
		{name: "secretsmanager:DeleteSecret", can: func(f facts) bool { return f.has("far.secret") }, apply: func(f facts, _ *step) { f.drop("far.") },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.other].DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &u.name, ForceDeleteWithoutRecovery: aws.Bool(true)})
				return "", err
			}},
		{name: "secretsmanager:RestoreSecret", can: func(f facts) bool { return f["secret"] == "deleted" }, apply: func(f facts, _ *step) { f["secret"] = "live" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.region].RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &u.name})
				return "", err
			}},
		{name: "secretsmanager:TagResource", can: live, apply: tagSecret, do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
			_, err := c.secrets[u.region].TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &u.name, Tags: secretTags(s)})
			return "", err
		}},
		{name: "secretsmanager:UntagResource", can: func(f facts) bool { return live(f) && f.has("tag.") }, apply: func(f facts, s *step) { f.drop("tag." + tagKey(s.n)) },
			do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
				_, err := c.secrets[u.region].UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &u.name, TagKeys: []string{tagKey(s.n)}})
				return "", err
			}},
		{name: "secretsmanager:PutResourcePolicy", can: live, apply: func(f facts, s *step) { f["policy"] = secretPolicy(s.n) },
			do: func(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
				_, err := c.secrets[u.region].PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &u.name, ResourcePolicy: aws.String(secretPolicy(s.n))})
				return "", err
			}},
		{name: "secretsmanager:DeleteResourcePolicy", can: func(f facts) bool { return live(f) && f.has("policy") }, apply: func(f facts, _ *step) { delete(f, "policy") },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.region].DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &u.name})
				return "", err
			}},
		{name: "secretsmanager:ReplicateSecretToRegions", can: func(f facts) bool { return live(f) && !f.has("replica") && !f.has("far.secret") },
			apply: func(f facts, _ *step) { f["replica"] = "asked" },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.region].ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &u.name, AddReplicaRegions: []types.ReplicaRegionType{{Region: &u.other}}})
				return "", err
			}},
		{name: "secretsmanager:RemoveRegionsFromReplication", can: func(f facts) bool { return live(f) && f.has("replica") }, apply: func(f facts, _ *step) { delete(f, "replica") },
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.region].RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &u.name, RemoveReplicaRegions: []string{u.other}})
				return "", err
			}},
		{name: "secretsmanager:StopReplicationToReplica", can: func(f facts) bool { return live(f) && f.has("replica") }, ready: inSync, apply: stopReplication,
			do: func(ctx context.Context, c *clients, u *unit, _ *step) (string, error) {
				_, err := c.secrets[u.other].StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &u.name})
				return "", err
			}},
	},
}

func live(f facts) bool { return f["secret"] == "live" }

func tagKey(n int) string { return fmt.Sprintf("tag%d", n%4) }

func secretTags(s *step) []types.Tag {
	return []types.Tag{{Key: aws.String(tagKey(s.n)), Value: aws.String(fmt.Sprint("value ", s.n))}, {Key: aws.String("last"), Value: aws.String(fmt.Sprint(s.n))}}
}

func tagSecret(f facts, s *step) {
	for _, t := range secretTags(s) {
		f["tag."+*t.Key] = *t.Value
	}
}

func secretPolicy(n int) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"p%d","Effect":"Deny","Principal":"*","Action":"secretsmanager:RotateSecret","Resource":"*"}]}`, n)
}

// value is that of the version with an id: short or long, text or bytes.
func value(id string) (text *string, binary []byte) {
	n := crc32.ChecksumIEEE([]byte(id))
	all := strings.Repeat("the value of "+id+". ", 1+int(n/2%40))
	if n%2 == 0 {
		return &all, nil
	}
	return nil, []byte(all)
}

func createSecret(f facts, s *step) {
	f["secret"], f["description"], f["version."+s.token] = "live", fmt.Sprint("made ", s.n), current
	tagSecret(f, s)
}

func doCreateSecret(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
	text, binary := value(s.token)
	out, err := c.secrets[u.region].CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &u.name, SecretString: text, SecretBinary: binary,
		ClientRequestToken: &s.token, Description: aws.String(fmt.Sprint("made ", s.n)), Tags: secretTags(s)})
	if err == nil && *out.VersionId != s.token {
		return "", fmt.Errorf("%w: version %s was made with token %s", errWrong, *out.VersionId, s.token)
	}
	return "", err
}

// stages are the labels that PutSecretValue asks for; nil leaves it to the
// service.
func stages(n int) []string {
	return [][]string{nil, nil, nil, {pending}, {mine}, {current, mine}}[n%6]
}

// relabel moves a label to a version, away from any other.
func relabel(f facts, id, label string) {
	for _, v := range f.below("version.") {
		labels := strings.Fields(f["version."+v])
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == label })
		if v == id {
			labels = append(labels, label)
		}
		slices.Sort(labels)
		f["version."+v] = strings.Join(labels, " ")
	}
}

// holder is the version that has a label, "" for none.
func holder(f facts, label string) string {
	for _, v := range f.below("version.") {
		if slices.Contains(strings.Fields(f["version."+v]), label) {
			return v
		}
	}
	return ""
}

// join adds a version with the labels asked for (secretsmanager.md 3.2).
func join(f facts, id string, asked []string) {
	was := holder(f, current)
	f["version."+id] = ""
	if len(asked) == 0 || slices.Contains(asked, current) {
		relabel(f, "", pending)
		relabel(f, id, current)
		relabel(f, was, previous)
	}
	for _, label := range asked {
		relabel(f, id, label)
	}
}

func putValue(f facts, s *step) { join(f, s.token, stages(s.n)) }

func doPutValue(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
	text, binary := value(s.token)
	out, err := c.secrets[u.region].PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &u.name, SecretString: text, SecretBinary: binary,
		ClientRequestToken: &s.token, VersionStages: stages(s.n)})
	if err == nil && *out.VersionId != s.token {
		return "", fmt.Errorf("%w: version %s was made with token %s", errWrong, *out.VersionId, s.token)
	}
	return "", err
}

func updateSecret(f facts, s *step) {
	if s.n%3 > 0 {
		f["description"] = fmt.Sprint("updated ", s.n)
	}
	if s.n%3 < 2 {
		join(f, s.token, nil)
	}
}

func doUpdateSecret(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
	in := &secretsmanager.UpdateSecretInput{SecretId: &u.name, ClientRequestToken: &s.token}
	if s.n%3 > 0 {
		in.Description = aws.String(fmt.Sprint("updated ", s.n))
	}
	if s.n%3 < 2 {
		in.SecretString, in.SecretBinary = value(s.token)
	}
	_, err := c.secrets[u.region].UpdateSecret(ctx, in)
	return "", err
}

// move is what UpdateSecretVersionStage does: the label MINE or AWSCURRENT goes
// to the version that AWSPREVIOUS is on, or to the only one.
func move(f facts, n int) (label, from, to string) {
	label, to = mine, holder(f, previous)
	if to == "" {
		to = holder(f, current)
	}
	if n%2 == 0 && holder(f, previous) != "" {
		label = current
	}
	return label, holder(f, label), to
}

func moveStage(f facts, s *step) {
	label, from, to := move(f, s.n)
	if from == to {
		return
	}
	relabel(f, to, label)
	if label == current {
		relabel(f, from, previous)
	}
}

func doMoveStage(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
	label, from, to := move(u.state, s.n)
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &u.name, VersionStage: &label, MoveToVersionId: &to}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := c.secrets[u.region].UpdateSecretVersionStage(ctx, in)
	return "", err
}

func deleteSecret(f facts, s *step) {
	if s.n%3 == 0 {
		clear(f)
		return
	}
	f["secret"] = "deleted"
}

func doDeleteSecret(ctx context.Context, c *clients, u *unit, s *step) (string, error) {
	in := &secretsmanager.DeleteSecretInput{SecretId: &u.name}
	if s.n%3 == 0 {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	}
	_, err := c.secrets[u.region].DeleteSecret(ctx, in)
	return "", err
}

// inSync says whether the replica is there and up to date: nobody but the unit's
// writer changes the primary, so that it stays so.
func inSync(ctx context.Context, c *clients, u *unit) (bool, error) {
	d, err := c.secrets[u.region].DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &u.name})
	if err != nil {
		return false, err
	}
	return len(d.ReplicationStatus) == 1 && d.ReplicationStatus[0].Status == types.StatusTypeInSync, nil
}

// copied are the facts of a secret that its replica has too.
func copied(f facts) facts {
	out := facts{}
	for name, v := range f {
		if name != "replica" && !strings.HasPrefix(name, "far.") {
			out[name] = v
		}
	}
	return out
}

func stopReplication(f facts, _ *step) {
	for name, v := range copied(f) {
		f["far."+name] = v
	}
	delete(f, "replica")
}

// readSecret reads a secret in its region, and what has its name in the other.
func readSecret(ctx context.Context, r *reading, u *unit) (facts, error) {
	f, d, err := describeSecret(ctx, r.secrets[u.region], u.name)
	if err != nil {
		return nil, err
	}
	far, fd, err := describeSecret(ctx, r.secrets[u.other], u.name)
	if err != nil {
		return nil, err
	}
	if d != nil && len(d.ReplicationStatus) > 0 {
		f["replica"] = "asked"
		switch d.ReplicationStatus[0].Status {
		case types.StatusTypeFailed:
			f["replica"] = "failed: " + aws.ToString(d.ReplicationStatus[0].StatusMessage)
		case types.StatusTypeInSync:
			want := copied(f)
			if diff := differences(want, far); diff != "" {
				// The job may have copied between the two looks.
				again, d, err := describeSecret(ctx, r.secrets[u.region], u.name)
				if err != nil {
					return nil, err
				}
				if far, _, err = describeSecret(ctx, r.secrets[u.other], u.name); err != nil {
					return nil, err
				}
				if diff = differences(copied(again), far); diff != "" && d.ReplicationStatus[0].Status == types.StatusTypeInSync {
					f["replica"] = "in sync but " + diff
				}
			}
			r.count(func(n *Report) { n.Replicas++ })
		default:
			r.count(func(n *Report) { n.Behind++ })
		}
		return f, nil
	}
	if fd != nil && fd.PrimaryRegion != nil {
		f["replica"] = "in " + u.other + ", which the primary knows nothing of"
		return f, nil
	}
	for name, v := range far {
		f["far."+name] = v
	}
	return f, nil
}

func describeSecret(ctx context.Context, c *secretsmanager.Client, name string) (facts, *secretsmanager.DescribeSecretOutput, error) {
	f := facts{}
	d, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if code(err) == "ResourceNotFoundException" {
		return f, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	f["secret"] = "live"
	if d.DeletedDate != nil {
		f["secret"] = "deleted"
	}
	if d.Description != nil {
		f["description"] = *d.Description
	}
	for _, t := range d.Tags {
		f["tag."+*t.Key] = *t.Value
	}
	versions := secretsmanager.NewListSecretVersionIdsPaginator(c, &secretsmanager.ListSecretVersionIdsInput{SecretId: &name, IncludeDeprecated: aws.Bool(true)})
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range page.Versions {
			slices.Sort(v.VersionStages)
			f["version."+*v.VersionId] = strings.Join(v.VersionStages, " ")
		}
	}
	if d.DeletedDate != nil {
		return f, d, nil
	}
	p, err := c.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &name})
	if err != nil {
		return nil, nil, err
	}
	if p.ResourcePolicy != nil {
		f["policy"] = compact(*p.ResourcePolicy)
	}
	return f, d, readValues(ctx, c, name, f)
}

// compact is a policy without the space that some operations give it.
func compact(document string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(document)); err != nil {
		return err.Error() + ": " + document
	}
	return b.String()
}

// readValues reads the values of all versions with labels, and of one without.
func readValues(ctx context.Context, c *secretsmanager.Client, name string, f facts) error {
	bare := false
	for _, id := range f.below("version.") {
		if f["version."+id] == "" {
			if bare {
				continue
			}
			bare = true
		}
		v, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: &id})
		if err != nil {
			return err
		}
		text, binary := value(id)
		if aws.ToString(v.SecretString) != aws.ToString(text) || !bytes.Equal(v.SecretBinary, binary) {
			f["value."+id] = "another than was written"
		}
	}
	return nil
}
