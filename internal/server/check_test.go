package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/store"
)

const allowRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`

// furnish puts a row into every table that the check looks at.
func furnish(t *testing.T, s *servertest.Server) {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	i, k, sm := s.IAM(), s.KMS(""), s.Secrets()
	key, err := k.CreateKey(ctx, &kms.CreateKeyInput{})
	must(key, err)
	must(k.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: new("alias/app"), TargetKeyId: key.KeyMetadata.KeyId}))
	must(sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: new("default"), SecretString: new("canary-one"),
		AddReplicaRegions: []smtypes.ReplicaRegionType{{Region: new(servertest.Other)}}}))
	must(sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new("default"), SecretBinary: []byte("canary-two")}))
	must(sm.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: new("own"), SecretString: new("canary-three"), KmsKeyId: key.KeyMetadata.KeyId}))
	must(sm.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: new("own"), ResourcePolicy: new(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + servertest.Account + `:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)}))
	policy, err := i.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: new("readers"), PolicyDocument: new(allowRead)})
	must(policy, err)
	must(i.CreateUser(ctx, &iam.CreateUserInput{UserName: new("eve"), PermissionsBoundary: policy.Policy.Arn}))
	must(i.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("eve")}))
	must(i.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: new("eve"), PolicyName: new("inline"), PolicyDocument: new(allowRead)}))
	must(i.CreateLoginProfile(ctx, &iam.CreateLoginProfileInput{UserName: new("eve"), Password: new("Correct-horse-1")}))
	must(i.UpdateLoginProfile(ctx, &iam.UpdateLoginProfileInput{UserName: new("eve"), Password: new("Correct-horse-2")}))
	must(i.CreateVirtualMFADevice(ctx, &iam.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone")}))
	must(i.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: new("staff")}))
	must(i.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: new("staff"), UserName: new("eve")}))
	must(i.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: new("staff"), PolicyArn: policy.Policy.Arn}))
	must(i.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: new("eve"), PolicyArn: new("arn:aws:iam::aws:policy/SecretsManagerReadWrite")}))
	s.Role(t, s.Admin, "app", servertest.Trust("arn:aws:iam::"+servertest.Account+":root", "sts:AssumeRole"), allowRead)
	must(i.UpdateAccountPasswordPolicy(ctx, &iam.UpdateAccountPasswordPolicyInput{MinimumPasswordLength: new(int32(9))}))
	must(i.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: new("https://id.example.org"),
		ClientIDList: []string{"app"}, ThumbprintList: []string{strings.Repeat("0", 40)}}))
}

// damage is one way in which a store can be broken, and where the check must see it.
type damage struct {
	name  string
	table string // the fault's
	want  string // in the fault's problem
	do    func(tx store.Tx) error
}

// sql runs a statement that must change something.
func sql(statement string) func(store.Tx) error {
	return func(tx store.Tx) error {
		n, err := tx.Exec(statement)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s: nothing was changed", statement)
		}
		return err
	}
}

// flip changes the last byte of the first value of a column.
func flip(table, column, unique string) func(store.Tx) error {
	return func(tx store.Tx) error {
		var id string
		var b []byte
		if err := tx.QueryRow(`SELECT `+unique+`, `+column+` FROM `+table+` ORDER BY `+unique).Scan(&id, &b); err != nil {
			return err
		}
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		_, err := tx.Exec(`UPDATE `+table+` SET `+column+` = $1 WHERE `+unique+` = $2`, b, id)
		return err
	}
}

var damages = []damage{
	{"value", "secret_versions", "value does not open", flip("secret_versions", "sealed", "version_id")},
	{"data key", "secret_versions", "data key does not open", flip("secret_versions", "data_key", "version_id")},
	{"value moved to the other kind", "secret_versions", "value does not open", sql(`UPDATE secret_versions SET kind = 'b' WHERE kind = 's'`)},
	{"version lost", "secrets", `label "AWSPREVIOUS" points at version`, sql(`DELETE FROM secret_versions WHERE kind = 's'`)},
	{"secret lost", "secret_versions", "its secret does not exist", sql(`DELETE FROM secrets WHERE name = 'own'`)},
	{"primary lost", "secret_replicas", "its secret does not exist", sql(`DELETE FROM secrets WHERE name = 'default' AND NOT replica`)},
	{"replica's status", "secret_replicas", `status "Fine" is none`, sql(`UPDATE secret_replicas SET status = 'Fine'`)},
	{"current version", "secrets", "current version is", sql(`UPDATE secrets SET current_version = 'other' WHERE name = 'own'`)},
	{"labels", "secrets", "labels are not readable", sql(`UPDATE secrets SET labels = '[["AWSCURRENT"' WHERE name = 'own'`)},
	{"label twice", "secrets", `label "AWSCURRENT" is on two versions`, sql(`UPDATE secrets SET labels = '[["AWSCURRENT","a"],["AWSCURRENT","b"]]' WHERE name = 'own'`)},
	{"tags of a secret", "secrets", "tags are not readable", sql(`UPDATE secrets SET tags = '[' WHERE name = 'own'`)},
	{"policy of a secret", "secrets", "policy is none", sql(`UPDATE secrets SET policy = '{"Statement":' WHERE name = 'own'`)},
	{"half deleted", "secrets", "not both", sql(`UPDATE secrets SET deleted_at = 1 WHERE name = 'own'`)},
	{"name of a secret", "secret_versions", "data key does not open", sql(`UPDATE secrets SET name = 'owm' WHERE name = 'own'`)},
	{"key material", "kms_material", "does not open", flip("kms_material", "sealed", "id")},
	{"key material lost", "kms_keys", "is missing or does not open", sql(`DELETE FROM kms_material`)},
	{"key lost", "kms_material", "its key does not exist", sql(`DELETE FROM kms_keys WHERE managed_by = ''`)},
	{"key lost, alias", "kms_aliases", "does not exist", sql(`DELETE FROM kms_keys WHERE managed_by = ''`)},
	{"state of a key", "kms_keys", "is none", sql(`UPDATE kms_keys SET state = 'Fine'`)},
	{"day of deletion", "kms_keys", "has no day of deletion", sql(`UPDATE kms_keys SET state = 'PendingDeletion'`)},
	{"key policy", "kms_keys", "policy is none", sql(`UPDATE kms_keys SET policy = ''`)},
	{"tags of a key", "kms_keys", "cannot be read", sql(`UPDATE kms_keys SET tags = '{'`)},
	{"access key", "iam_access_keys", "does not open", flip("iam_access_keys", "sealed", "key_id")},
	{"access key of nobody", "iam_access_keys", "its user", sql(`UPDATE iam_access_keys SET user_id = 'AIDAGONE'`)},
	{"seed", "iam_mfa_devices", "does not open", flip("iam_mfa_devices", "sealed", "id")},
	{"password", "iam_login_profiles", "does not open", flip("iam_login_profiles", "sealed", "user_id")},
	{"old password", "iam_old_passwords", "does not open", flip("iam_old_passwords", "sealed", "user_id")},
	{"user lost", "iam_group_members", "its user does not exist", sql(`DELETE FROM iam_users WHERE name = 'eve'`)},
	{"user lost, password", "iam_login_profiles", "its user", sql(`DELETE FROM iam_users WHERE name = 'eve'`)},
	{"user lost, inline policy", "iam_inline_policies", "user, group or role does not exist", sql(`DELETE FROM iam_users WHERE name = 'eve'`)},
	{"group lost", "iam_group_members", "its group does not exist", sql(`DELETE FROM iam_groups`)},
	{"group lost, attachment", "iam_attachments", "user, group or role does not exist", sql(`DELETE FROM iam_groups`)},
	{"name of a user", "iam_users", "which is not its own", sql(`UPDATE iam_users SET name_fold = 'adam' WHERE name = 'eve'`)},
	{"tags of a user", "iam_users", "tags are not readable", sql(`UPDATE iam_users SET tags = '{' WHERE name = 'eve'`)},
	{"boundary", "iam_users", "does not exist", sql(`UPDATE iam_users SET boundary = 'arn:aws:iam::111122223333:policy/gone' WHERE name = 'eve'`)},
	{"inline policy", "iam_inline_policies", "policy is none", sql(`UPDATE iam_inline_policies SET document = '{}' WHERE name = 'inline'`)},
	{"trust policy", "iam_roles", "policy is none", sql(`UPDATE iam_roles SET trust = 'x'`)},
	{"managed policy lost", "iam_attachments", "its policy does not exist", sql(`DELETE FROM iam_policies`)},
	{"managed policy lost, versions", "iam_policy_versions", "its policy does not exist", sql(`DELETE FROM iam_policies`)},
	{"managed policy lost, boundary", "iam_users", "does not exist", sql(`DELETE FROM iam_policies`)},
	{"policy version lost", "iam_policies", "default version does not exist", sql(`DELETE FROM iam_policy_versions`)},
	{"policy version", "iam_policy_versions", "policy is none", sql(`UPDATE iam_policy_versions SET document = '[]'`)},
	{"next policy version", "iam_policies", "next version", sql(`UPDATE iam_policies SET next_version = 1`)},
	{"account lost", "iam_users", "account does not exist", sql(`DELETE FROM accounts`)},
	{"clients of a provider", "iam_oidc_providers", "cannot be read", sql(`UPDATE iam_oidc_providers SET client_ids = '['`)},
	{"keys of a provider", "iam_oidc_providers", "keys are not readable", sql(`UPDATE iam_oidc_providers SET jwks = '{'`)},
	{"password policy", "iam_password_policies", "not readable", sql(`UPDATE iam_password_policies SET policy = '{'`)},
	{"signing key", "audit_keys", "signing key does not open", flip("audit_keys", "sealed", "node")},
	{"public key", "audit_keys", "not that of its signing key", flip("audit_keys", "public", "node")},
	{"head", "audit_heads", "signature is not that of its node", flip("audit_heads", "signature", "node")},
	{"hash of a head", "audit_heads", "cannot be read", sql(`UPDATE audit_heads SET chain = signature`)},
	{"node without a key", "audit_nodes", "no signing key", sql(`INSERT INTO audit_nodes (node, epoch, opened) VALUES ('x', 1, 1)`)},
	{"shipped lines", "audit_lines", "cannot be read", sql(`INSERT INTO audit_lines (node, segment, place, size, last, at, form, lines) SELECT node, 1, 99, 5, 1, 1, 1, sealed FROM audit_keys`)},
	{"intent of nobody", "audit_pending", "no signing key", sql(`INSERT INTO audit_pending (node, event_id, after_seq, at, records) VALUES ('x', 'e', 1, 1, '')`)},
}

// TestCheckNamesEachDamage breaks one row at a time, in a transaction that is
// rolled back, and wants it named.
func TestCheckNamesEachDamage(t *testing.T) {
	for name, options := range map[string][]servertest.Option{"sqlite": nil, "postgresql": {servertest.Postgres()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, append(options, servertest.ManualJobs())...)
			furnish(t, s)
			if err := s.Server().RunJobsOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Restart() // which signs a head
			report, err := s.Server().CheckStore(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !report.OK() || len(report.Notes) != 0 {
				t.Fatalf("an undamaged store: %v, %v", report.Faults, report.Notes)
			}
			for _, d := range damages {
				if report.Rows[d.table] == 0 && !slices.Contains([]string{"audit_pending", "audit_nodes", "audit_lines"}, d.table) {
					t.Errorf("%s: the undamaged store has no row in %s", d.name, d.table)
				}
				in := damaged(t, s.Server(), d)
				found := false
				for _, f := range in.Faults {
					found = found || f.Table == d.table && strings.Contains(f.Problem, d.want)
					for _, value := range []string{"canary", "Correct-horse"} {
						if strings.Contains(f.Row+f.Problem, value) {
							t.Errorf("%s: the fault shows a value: %v", d.name, f)
						}
					}
				}
				if !found {
					t.Errorf("%s: no fault in %s says %q: %v", d.name, d.table, d.want, in.Faults)
				}
			}
		})
	}
}

var errUndo = errors.New("undo")

// damaged returns what the check sees of a damage, which is then undone.
func damaged(t *testing.T, s *server.Server, d damage) (in store.Inspection) {
	t.Helper()
	err := s.Store().Maintain(t.Context(), func(tx store.Tx) error {
		if err := d.do(tx); err != nil {
			return err
		}
		var err error
		if in, err = s.InspectIn(t.Context(), tx); err != nil {
			return err
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		t.Fatalf("%s: %v", d.name, err)
	}
	return in
}

// TestCheckStorageKey: a damaged storage key is named, and what others seal is
// still looked at; without any that opens the check says so.
func TestCheckStorageKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	err := s.Server().Store().Maintain(t.Context(), func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO keyring (id, provider, wrapped, created_at) VALUES ('0102', 'file:x', 'x', 1)`); err != nil {
			return err
		}
		in, err := s.Server().InspectIn(t.Context(), tx)
		if err != nil {
			return err
		}
		if in.Found != 1 || in.Faults[0].Table != "keyring" || in.Faults[0].Row != "0102" || in.Rows["iam_access_keys"] == 0 {
			t.Errorf("one of two: %v, %v", in.Faults, in.Rows)
		}
		if err := flip("keyring", "wrapped", "id")(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM keyring WHERE id <> '0102'`); err != nil {
			return err
		}
		_, err = s.Server().InspectIn(t.Context(), tx)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "open keyring") {
		t.Errorf("none opens: %v", err)
	}
}

// TestCheckDeletedKey: values under a KMS key that was deleted on purpose are
// counted and are no damage.
func TestCheckDeletedKey(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	furnish(t, s)
	in := damaged(t, s.Server(), damage{name: "key deleted", do: func(tx store.Tx) error {
		var id string
		if err := tx.QueryRow(`SELECT id FROM kms_keys WHERE managed_by = ''`).Scan(&id); err != nil {
			return err
		}
		for _, statement := range []string{`DELETE FROM kms_aliases WHERE key_id = $1`, `DELETE FROM kms_material WHERE key_id = $1`, `DELETE FROM kms_keys WHERE id = $1`} {
			if _, err := tx.Exec(statement, id); err != nil {
				return err
			}
		}
		return nil
	}})
	if !in.OK() || len(in.Notes) != 1 {
		t.Errorf("faults %v, notes %v", in.Faults, in.Notes)
	}
}

// TestCheckStopped proves a store that no server runs on, and notices a root key
// that is another one.
func TestCheckStopped(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	furnish(t, s)
	cfg := s.Server().Config()
	s.Stop()
	report, err := server.CheckStore(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil || !report.OK() || report.Rows["secret_versions"] < 3 {
		t.Fatalf("%+v, %v", report, err)
	}
	other := servertest.Start(t)
	other.Stop()
	cfg.Database, cfg.Data = "", other.Dir
	swap(t, s.Dir, other.Dir)
	if _, err := server.CheckStore(context.Background(), cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "wrong root key") {
		t.Errorf("another root key: %v", err)
	}
}

// swap puts the root key of one directory into another.
func swap(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(from, server.RootKeyFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, server.RootKeyFile), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
