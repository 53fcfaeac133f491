package audit

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/policy"
	"github.com/strongroom/strongroom/internal/store"
	"github.com/strongroom/strongroom/internal/wire"
)

const (
	testNode    = "n1"
	testAccount = "111122223333"
)

// testSealer stands for the keyring.
type testSealer struct{ aead cipher.AEAD }

func newSealer() testSealer {
	block, err := aes.NewCipher([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return testSealer{aead}
}

func (s testSealer) Seal(purpose string, aad, pt []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, pt, append([]byte(purpose), aad...)), nil
}

func (s testSealer) Open(purpose string, aad, ct []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	return s.aead.Open(nil, ct[:n], ct[n:], append([]byte(purpose), aad...))
}

// bench is a store and an audit directory that logs are opened on.
type bench struct {
	testing.TB
	root string
	db   *store.DB
	log  *Log
	out  bytes.Buffer
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{TB: t, root: t.TempDir()}
	b.openStore()
	t.Cleanup(func() {
		if b.log != nil {
			b.close()
		}
		_ = b.db.Close()
	})
	return b
}

func (b *bench) openStore() {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{
		Dir:   filepath.Join(b.root, "db"),
		Audit: func(ctx context.Context, tx store.Tx) error { return b.log.Intent(ctx, tx) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.db = db
	err = db.Maintain(b.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS things (name TEXT NOT NULL)`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) dir() string { return filepath.Join(b.root, "audit") }

// config is a small log that signs heads only when it is closed.
func (b *bench) config() Config {
	return Config{
		Dir: b.dir(), Node: testNode, Account: testAccount, Store: b.db, Sealer: newSealer(),
		SegmentSize: minSegment, HeadEvery: time.Hour, SyncEvery: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&b.out, nil)),
	}
}

func (b *bench) open(change ...func(*Config)) *Log {
	b.Helper()
	c := b.config()
	for _, f := range change {
		f(&c)
	}
	l, err := Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.log = l
	return l
}

func (b *bench) close() {
	b.Helper()
	if err := b.log.Close(context.Background()); err != nil {
		b.Error(err)
	}
	b.log = nil
}

// crash leaves the files as a killed process would: nothing is finished, cut or
// signed.
func (b *bench) crash() {
	b.Helper()
	l := b.log
	close(l.stop)
	l.wg.Wait()
	l.mu.Lock()
	l.cur, l.closed = nil, true
	l.mu.Unlock()
	_ = l.lock.Close()
	l.lock = nil
	b.log = nil
}

func (b *bench) source() Source {
	return Source{Dir: b.dir(), Node: testNode, Heads: func(ctx context.Context) ([]Head, error) {
		return StoredHeads(ctx, b.db, testNode)
	}}
}

func (b *bench) verify() *Report {
	b.Helper()
	r, err := Verify(b.Context(), b.source())
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) mustVerify() *Report {
	b.Helper()
	r := b.verify()
	if !r.OK() {
		b.Fatalf("broken %v, gaps %v", r.Broken, r.Gaps)
	}
	return r
}

// records returns all record bodies.
func (b *bench) records() []map[string]any {
	b.Helper()
	var out []map[string]any
	err := Scan(b.Context(), b.dir(), testNode, 1, func(e Entry) error {
		var m map[string]any
		if err := json.Unmarshal(e.Body, &m); err != nil {
			return fmt.Errorf("record %d: %w", e.Seq, err)
		}
		out = append(out, m)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func (b *bench) segments() []string {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(b.dir(), testNode+".*"+segmentSuffix))
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func (b *bench) read(path string) []byte {
	b.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func (b *bench) write(path string, data []byte) {
	b.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
}

var (
	secretsManager = &wire.Service{Name: "secretsmanager", EventSource: "secretsmanager.amazonaws.com", InternalCode: "InternalServiceError"}
	keyService     = &wire.Service{Name: "kms", EventSource: "kms.amazonaws.com", InternalCode: "KMSInternalException"}
)

type getInput struct {
	SecretId     *string
	VersionStage *string
}

type putInput struct {
	SecretId           *string
	ClientRequestToken *string
	SecretString       *aws.SensitiveString
	SecretBinary       aws.SensitiveBytes
	RotationToken      *aws.SensitiveString
}

type decryptInput struct {
	EncryptionContext   map[string]string
	EncryptionAlgorithm *string
}

const secretARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:db/app-AbCdEf"

func user() *aws.Principal {
	return &aws.Principal{
		Type: aws.PrincipalUser, Account: testAccount, ARN: "arn:aws:iam::111122223333:user/alice",
		UserID: "AIDAEXAMPLE", UserName: "alice", AccessKeyID: "AKIAEXAMPLE",
	}
}

// getCall is a read as the dispatcher would describe it at its end.
func getCall() *wire.Call {
	return &wire.Call{
		RequestID: randomID(), EventID: randomID(), Start: time.Date(2026, 1, 10, 9, 5, 11, 0, time.UTC),
		Service: secretsManager, Operation: "GetSecretValue", ReadOnly: true, Region: "us-east-1",
		Principal: user(), Source: netip.MustParseAddr("192.0.2.10"), UserAgent: "aws-cli/2.x",
		TLS:       wire.TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Host: "secretsmanager.us-east-1.amazonaws.com"},
		Input:     &getInput{SecretId: new("db/app")},
		EventType: wire.EventAPICall,
		Resources: []wire.Resource{{ARN: secretARN, Type: "AWS::SecretsManager::Secret", Account: testAccount}},
		Decisions: []wire.Decision{{Action: "secretsmanager:GetSecretValue", Resource: secretARN, Allowed: true,
			Evidence: policy.Decision{Outcome: policy.Allow, Layer: policy.LayerIdentity, Source: "user/alice/policy/all", Version: "3", Statement: 1}}},
	}
}

// decryptCall is the nested call that a read makes.
func decryptCall(parent *wire.Call) *wire.Call {
	c := *parent
	c.RequestID, c.EventID, c.Parent = randomID(), randomID(), parent
	c.Service, c.Operation, c.Via = keyService, "Decrypt", parent.Service.EventSource
	c.Input = &decryptInput{EncryptionContext: map[string]string{"SecretARN": secretARN}, EncryptionAlgorithm: new("SYMMETRIC_DEFAULT")}
	return &c
}

// run passes a call through the log, with fn between.
func (b *bench) run(l *Log, c *wire.Call, fn func(ctx context.Context)) {
	b.Helper()
	ctx := wire.NewContext(b.Context(), c)
	if err := l.Begin(ctx, c); err != nil {
		b.Fatal(err)
	}
	if fn != nil {
		fn(ctx)
	}
	if err := l.Record(ctx, c); err != nil {
		b.Fatal(err)
	}
}

// change commits something in the call of ctx.
func (b *bench) change(ctx context.Context, name string) {
	b.Helper()
	if err := b.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO things (name) VALUES ($1)`, name)
		return err
	}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) pendingRows() int {
	b.Helper()
	var n int
	err := b.db.Read(b.Context(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM audit_pending`).Scan(&n)
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
