package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/strongroom/strongroom/internal/audit"
	"github.com/strongroom/strongroom/internal/config"
	"github.com/strongroom/strongroom/internal/server"
	"github.com/strongroom/strongroom/internal/servertest"
	"github.com/strongroom/strongroom/internal/servertest/program"
)

// stoppedWithSegments is a deployment that has closed several segments and has
// been stopped, and their files in order.
func stoppedWithSegments(t *testing.T) (program.Place, []string) {
	t.Helper()
	s := servertest.Start(t, servertest.Config(func(c *config.Config) { c.Audit.SegmentSize = 256 << 10 }))
	if _, err := s.Secrets().CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("read"), SecretString: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	p := program.Place{Dir: s.Dir}
	var files []string
	for len(files) < 4 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					_, err := s.Secrets().GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("read")})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var err error
		if files, err = filepath.Glob(filepath.Join(p.Dir, server.AuditDir, "*.jsonl")); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
	s.Stop()
	sound(t, p, false)
	return p, files
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestChangedByteIsFound changes single bytes of closed segments. The report must
// name the record.
func TestChangedByteIsFound(t *testing.T) {
	p, files := stoppedWithSegments(t)
	random := rand.New(rand.NewPCG(1, 2))
	sequence := regexp.MustCompile(`^\{"(?:seq|end)":(\d+),`)
	for i := range 60 {
		file := files[i%(len(files)-1)]
		whole := read(t, file)
		at := random.IntN(len(whole))
		changed := bytes.Clone(whole)
		changed[at] ^= byte(1 + random.IntN(255))
		write(t, file, changed)
		r := verify(t, p, true)
		write(t, file, whole)

		from := bytes.LastIndexByte(whole[:at], '\n') + 1
		want := fmt.Sprintf("in segment %s", filepath.Base(file))
		if m := sequence.FindSubmatch(whole[from:]); m != nil && !bytes.HasPrefix(whole[from:], []byte(`{"end"`)) {
			want = fmt.Sprintf("record %s %s", m[1], want)
		}
		if r.Broken == nil {
			t.Errorf("byte %d, %s: not found", at, want)
			continue
		}
		got := fmt.Sprintf("in segment %s", r.Broken.Segment)
		if want != got {
			got = fmt.Sprintf("record %d %s", r.Broken.Seq, got)
		}
		if got != want {
			t.Errorf("byte %d is in %s, the report says %s", at, want, r.Broken)
		}
	}
	sound(t, p, false)
}

// TestRewrittenSegmentIsFound takes a word out of a record and makes all hashes
// of all segments right again, as somebody can who has read how they are made.
// Only the signed heads tell.
func TestRewrittenSegmentIsFound(t *testing.T) {
	p, files := stoppedWithSegments(t)
	var chain audit.Hash
	rewritten := ""
	for _, file := range files {
		lines := bytes.SplitAfter(read(t, file), []byte{'\n'})
		var out []byte
		for _, l := range lines {
			if rewritten == "" && file != files[0] && bytes.Contains(l, []byte(`"eventName":"GetSecretValue"`)) {
				l = bytes.Replace(l, []byte(`"eventName":"GetSecretValue"`), []byte(`"eventName":"DescribeSecret"`), 1)
				rewritten = string(regexp.MustCompile(`^\{"seq":(\d+)`).FindSubmatch(l)[1])
			}
			l, chain = relink(t, l, chain)
			out = append(out, l...)
		}
		write(t, file, out)
	}
	heads, err := filepath.Glob(filepath.Join(p.Dir, server.AuditDir, "*.head"))
	if err != nil || len(heads) == 0 || rewritten == "" {
		t.Fatal(heads, err, rewritten)
	}
	if r := verify(t, p, true); r.Broken == nil || r.Broken.Kind != audit.Rewritten {
		t.Errorf("with the heads beside the segments: %v", r.Broken)
	}
	for _, h := range heads {
		if err := os.Remove(h); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, p, true); !r.OK() {
		t.Fatalf("the hashes are not right, so this proves nothing of heads: %v", r.Broken)
	}
	r := verify(t, p, false)
	if r.Broken == nil || r.Broken.Kind != audit.Rewritten {
		t.Errorf("with the heads in the database: %v", r.Broken)
	}
	t.Logf("record %s was changed, the report says: %v", rewritten, r.Broken)
}

var (
	headerLine = regexp.MustCompile(`^(\{"segment":"strongroom-audit/1","node":"[^"]*","first":\d+,"prev":")[0-9a-f]{64}(".*\})\n$`)
	recordLine = regexp.MustCompile(`^\{"seq":(\d+),"prev":"[0-9a-f]{64}","record":"[0-9a-f]{64}","chain":"[0-9a-f]{64}","event":(.*)\}\n$`)
	lastLine   = regexp.MustCompile(`^(\{"end":\d+,"records":\d+,"chain":")[0-9a-f]{64}("(?:,"closed":true)?\}\n)$`)
)

// relink writes a line anew behind prev and returns the chain hash it makes.
func relink(t *testing.T, l []byte, prev audit.Hash) ([]byte, audit.Hash) {
	t.Helper()
	if len(l) == 0 {
		return l, prev
	}
	if m := headerLine.FindSubmatch(l); m != nil {
		l = fmt.Appendf(nil, "%s%s%s", m[1], prev, m[2])
		return append(l, '\n'), sha256.Sum256(append([]byte{1}, l...))
	}
	if m := lastLine.FindSubmatch(l); m != nil {
		return fmt.Appendf(nil, "%s%s%s", m[1], prev, m[2]), prev
	}
	m := recordLine.FindSubmatch(l)
	if m == nil {
		t.Fatalf("unknown line %q", l)
	}
	var seq uint64
	if _, err := fmt.Sscan(string(m[1]), &seq); err != nil {
		t.Fatal(err)
	}
	record := sha256.Sum256(m[2])
	link := append([]byte{0}, prev[:]...)
	link = append(binary.BigEndian.AppendUint64(link, seq), record[:]...)
	chain := sha256.Sum256(link)
	return fmt.Appendf(nil, `{"seq":%d,"prev":"%s","record":"%s","chain":"%s","event":%s}`+"\n",
		seq, prev, hex.EncodeToString(record[:]), hex.EncodeToString(chain[:]), m[2]), chain
}
