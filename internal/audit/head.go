package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// Head is a signed statement that a node's chain had a certain hash at a
// certain record. There is one for each segment, which moves with the segment's
// end.
type Head struct {
	Node    string
	Segment uint64 // by its first sequence number
	Seq     uint64
	Chain   Hash
	// Time is when it was signed, in microseconds.
	Time      time.Time
	Signature []byte
}

// The name in what is signed keeps heads, start records and anything else that
// a key might sign apart.
const (
	headFormat  = "strongroom-audit-head/1"
	keyPurpose  = "audit-head-key"
	maxHeadFile = 1 << 10
)

// appendStatement appends the bytes that are signed.
func (h Head) appendStatement(b []byte) []byte {
	b = append(b, `{"format":"`+headFormat+`","node":"`...)
	b = append(b, h.Node...)
	b = append(b, `","segment":`...)
	b = strconv.AppendUint(b, h.Segment, 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, h.Seq, 10)
	b = append(b, `,"chain":"`...)
	b = hex.AppendEncode(b, h.Chain[:])
	b = append(b, `","time":"`...)
	b = h.Time.UTC().AppendFormat(b, headerTime)
	return append(b, `"}`...)
}

// Verify says whether the owner of the key signed h.
func (h Head) Verify(key ed25519.PublicKey) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, h.appendStatement(nil), h.Signature)
}

// appendFile appends the form of a head in its file.
func (h Head) appendFile(b []byte) []byte {
	b = append(b, `{"head":`...)
	b = h.appendStatement(b)
	b = append(b, `,"signature":"`...)
	b = base64.StdEncoding.AppendEncode(b, h.Signature)
	return append(b, "\"}\n"...)
}

func parseHeadFile(b []byte) (Head, error) {
	var h Head
	s := scanner{rest: b}
	s.word(`{"head":{"format":"` + headFormat + `","node":"`)
	h.Node = string(s.until('"'))
	s.word(`","segment":`)
	h.Segment = s.number()
	s.word(`,"seq":`)
	h.Seq = s.number()
	s.word(`,"chain":"`)
	h.Chain = s.hash()
	s.word(`","time":"`)
	at := string(s.until('"'))
	s.word(`"},"signature":"`)
	signature := string(s.until('"'))
	var errTime, errSignature error
	h.Time, errTime = time.Parse(headerTime, at)
	h.Signature, errSignature = base64.StdEncoding.DecodeString(signature)
	if s.bad || errTime != nil || errSignature != nil || string(h.appendFile(nil)) != string(b) {
		return Head{}, errMalformed
	}
	return h, nil
}

// loadKey returns the node's signing key, and makes it when the node begins its
// chain. A public key file that the database does not know is refused: either
// the database or the directory belongs to another chain.
func (l *Log) loadKey(ctx context.Context) (ed25519.PrivateKey, error) {
	node := l.cfg.Node
	var sealed []byte
	err := l.cfg.Store.Read(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT sealed FROM audit_keys WHERE node = $1`, node).Scan(&sealed)
	})
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, fmt.Errorf("read audit key: %w", err)
	}
	known, fileErr := readPublicKey(l.cfg.Dir, node)
	if fileErr != nil && !errors.Is(fileErr, fs.ErrNotExist) {
		return nil, fileErr
	}
	if err == nil {
		seed, err := l.cfg.Sealer.Open(keyPurpose, []byte(node), sealed)
		if err != nil {
			return nil, fmt.Errorf("open audit key: %w", err)
		}
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("open audit key: %d bytes are no seed", len(seed))
		}
		key := ed25519.NewKeyFromSeed(seed)
		clear(seed)
		if known != nil && !known.Equal(key.Public()) {
			return nil, fmt.Errorf("%s is not the key that the database holds; restore it, or move the directory aside to begin a new chain", node+keySuffix)
		}
		return key, writePublicKey(l.cfg.Dir, node, key)
	}
	if known != nil {
		return nil, fmt.Errorf("the database does not know the key of the chain in %s; use that chain's database, or move the directory aside to begin a new chain", l.cfg.Dir)
	}
	return l.makeKey(ctx)
}

func (l *Log) makeKey(ctx context.Context) (ed25519.PrivateKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	seed := key.Seed()
	sealed, err := l.cfg.Sealer.Seal(keyPurpose, []byte(l.cfg.Node), seed)
	clear(seed)
	if err != nil {
		return nil, fmt.Errorf("seal audit key: %w", err)
	}
	// The database first: a file without a row is refused at the next start.
	err = l.cfg.Store.Maintain(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO audit_keys (node, public, sealed, created) VALUES ($1, $2, $3, $4)`,
			l.cfg.Node, []byte(public), sealed, tx.Now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store audit key: %w", err)
	}
	return key, writePublicKey(l.cfg.Dir, l.cfg.Node, key)
}

// writePublicKey puts the key where openssl and an auditor without the database
// find it.
func writePublicKey(dir, node string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode audit key: %w", err)
	}
	return replaceFile(dir, node+keySuffix, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func readPublicKey(dir, node string) (ed25519.PublicKey, error) {
	b, err := os.ReadFile(filepath.Join(dir, node+keySuffix))
	if err != nil {
		return nil, fmt.Errorf("read audit public key: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("read audit public key: %s is not a PEM public key", node+keySuffix)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read audit public key: %w", err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("read audit public key: %s is not an Ed25519 key", node+keySuffix)
	}
	return public, nil
}

// replaceFile writes a small file so that a crash leaves the old or the new one
// whole: a head file that is neither would look like tampering.
func replaceFile(dir, name string, b []byte) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = flush(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dueHeads are heads that are signed and not stored yet.
type dueHeads struct {
	heads  []Head
	last   mark
	closed int // how many of them are of segments closed since last time
}

// dueHeads signs the ends of segments closed since last time and of the present
// one, as far as upTo, if anything there is new. The caller holds headMu.
func (l *Log) dueHeads(upTo uint64, now mark) dueHeads {
	l.smu.Lock()
	due := l.done
	l.smu.Unlock()
	closed := 0
	for closed < len(due) && due[closed].seq <= upTo {
		closed++
	}
	due = due[:closed:closed]
	if now.seq > l.head.seq && now.seq <= upTo && (closed == 0 || due[closed-1].seq != now.seq) {
		due = append(due, now)
	}
	out := dueHeads{closed: closed}
	for _, m := range due {
		h := Head{Node: l.cfg.Node, Segment: m.segment, Seq: m.seq, Chain: m.chain, Time: l.now().UTC().Truncate(time.Microsecond)}
		h.Signature = ed25519.Sign(l.key, h.appendStatement(nil))
		out.heads, out.last = append(out.heads, h), m
	}
	return out
}

// signed puts stored heads next to the segments too, and remembers them. The
// caller holds headMu. What fails is due again.
func (l *Log) signed(due dueHeads) error {
	for _, h := range due.heads {
		if err := replaceFile(l.cfg.Dir, fileName(h.Node, h.Segment, headSuffix), h.appendFile(nil)); err != nil {
			return fmt.Errorf("store audit head: %w", err)
		}
	}
	if due.last.seq > l.head.seq {
		l.head = due.last
	}
	l.smu.Lock()
	l.done = l.done[due.closed:]
	l.smu.Unlock()
	return nil
}

// signHeads signs and stores the heads of what is on disk.
func (l *Log) signHeads(ctx context.Context) error {
	l.headMu.Lock()
	defer l.headMu.Unlock()
	l.smu.Lock()
	now := l.synced
	l.smu.Unlock()
	due := l.dueHeads(now.seq, now)
	if len(due.heads) == 0 {
		return nil
	}
	err := l.cfg.Store.Maintain(ctx, func(tx store.Tx) error {
		for _, h := range due.heads {
			if err := putHead(tx, h); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store audit head: %w", err)
	}
	return l.signed(due)
}

// putHead never moves a segment's head back, so that a late writer cannot hide
// a record.
func putHead(tx store.Tx, h Head) error {
	_, err := tx.Exec(`INSERT INTO audit_heads (node, segment, seq, chain, at, signature) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (node, segment) DO UPDATE SET seq = excluded.seq, chain = excluded.chain, at = excluded.at, signature = excluded.signature
		WHERE excluded.seq > audit_heads.seq`,
		h.Node, int64(h.Segment), int64(h.Seq), h.Chain[:], h.Time.UnixMicro(), h.Signature)
	return err
}

// StoredHeads returns the heads of node's chain that the database holds.
func StoredHeads(ctx context.Context, s Store, node string) ([]Head, error) {
	var out []Head
	err := s.Read(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT segment, seq, chain, at, signature FROM audit_heads WHERE node = $1 ORDER BY segment`, node)
		if err != nil {
			return err
		}
		for rows.Next() {
			h := Head{Node: node}
			var segment, seq, at int64
			var chain []byte
			if err := rows.Scan(&segment, &seq, &chain, &at, &h.Signature); err != nil {
				return errors.Join(err, rows.Close())
			}
			if len(chain) != len(h.Chain) {
				return errors.Join(fmt.Errorf("chain hash of %d bytes", len(chain)), rows.Close())
			}
			h.Segment, h.Seq, h.Chain, h.Time = uint64(segment), uint64(seq), Hash(chain), time.UnixMicro(at).UTC()
			out = append(out, h)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read audit heads: %w", err)
	}
	return out, nil
}

// fileHeads returns the heads next to the segments. A file that does not parse
// is returned as a head without a signature, which Verify will not believe.
func fileHeads(dir, node string) ([]Head, error) {
	segments, err := listNumbers(dir, node, headSuffix)
	if err != nil {
		return nil, err
	}
	var out []Head
	for _, first := range segments {
		f, err := os.Open(filepath.Join(dir, fileName(node, first, headSuffix)))
		if err != nil {
			return nil, fmt.Errorf("read audit head: %w", err)
		}
		b := make([]byte, maxHeadFile)
		n, _ := f.Read(b) // What cannot be read does not parse.
		_ = f.Close()
		h, err := parseHeadFile(b[:n])
		if err != nil || h.Node != node || h.Segment != first {
			h = Head{Node: node, Segment: first, Seq: first}
		}
		out = append(out, h)
	}
	return out, nil
}
