package auth_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
)

type record map[string]any

func records(t *testing.T, s *servertest.Server) (all []record) {
	t.Helper()
	node, err := server.Node(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := audit.Scan(t.Context(), filepath.Join(s.Dir, server.AuditDir), node, 0, func(e audit.Entry) error {
		var r record
		if err := json.Unmarshal(e.Body, &r); err != nil {
			return fmt.Errorf("record %d: %w", e.Seq, err)
		}
		fmt.Println(string(e.Body))
		all = append(all, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestX(t *testing.T) {
	s := servertest.Start(t)
	sm := s.Secrets()
	out, err := sm.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("db/app"), SecretString: aws.String("hunter2")})
	if err != nil {
		t.Fatal(err)
	}
	sm.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("db/app")})
	u := s.User(t, "nobody", "")
	s.SecretsAs(u, "").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: out.ARN})
	root := s.RootCredentials(t, servertest.Account)
	iam.NewFromConfig(s.AWS(root.Credentials, "")).ListUsers(t.Context(), nil)
	sm.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: out.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)})
	s.Server().RunJobsOnce(t.Context())
	records(t, s)
}
