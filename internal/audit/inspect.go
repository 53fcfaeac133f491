package audit

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/internal/store"
)

// Inspect looks at every row of the log: that the signing keys open and are those
// of their public halves, that every head was signed, and that what nodes have
// shipped can be read. The chains themselves Verify proves.
func Inspect(in *store.Inspection, tx store.Tx, keys Sealer) error {
	public := make(map[string]ed25519.PublicKey)
	type signer struct {
		node           string
		public, sealed []byte
	}
	err := store.Each(in, tx, "audit_keys", func(r store.Row) (v signer, err error) {
		err = r.Scan(&v.node, &v.public, &v.sealed)
		return v, err
	}, func(v *signer) string { return v.node }, func(v *signer) {
		public[v.node] = v.public
		seed, err := keys.Open(keyPurpose, []byte(v.node), v.sealed)
		if err != nil {
			in.Fault("audit_keys", v.node, "its signing key does not open: %v", err)
			return
		}
		defer clear(seed)
		if len(seed) != ed25519.SeedSize {
			in.Fault("audit_keys", v.node, "its signing key is %d bytes long, not %d", len(seed), ed25519.SeedSize)
			return
		}
		key := ed25519.NewKeyFromSeed(seed)
		defer clear(key)
		if !bytes.Equal(key[ed25519.SeedSize:], v.public) {
			in.Fault("audit_keys", v.node, "its public key is not that of its signing key")
		}
	}, `SELECT node, public, sealed FROM audit_keys`)
	if err != nil {
		return err
	}
	headName := func(h *Head) string { return fmt.Sprintf("%s segment %d", h.Node, h.Segment) }
	err = store.Each(in, tx, "audit_heads", scanHead, headName, func(h *Head) {
		if !h.Verify(public[h.Node]) {
			in.Fault("audit_heads", headName(h), "its signature is not that of its node")
		}
	}, `SELECT node, segment, seq, chain, at, signature FROM audit_heads`)
	if err != nil {
		return err
	}
	type lines struct {
		node                       string
		segment, place, size, form int64
		bytes                      []byte
	}
	name := func(l *lines) string { return fmt.Sprintf("%s segment %d byte %d", l.node, l.segment, l.place) }
	err = store.Each(in, tx, "audit_lines", func(r store.Row) (l lines, err error) {
		err = r.Scan(&l.node, &l.segment, &l.place, &l.size, &l.form, &l.bytes)
		return l, err
	}, name, func(l *lines) {
		b, err := decompress(l.form, l.bytes)
		switch {
		case err != nil:
			in.Fault("audit_lines", name(l), "its lines cannot be read: %v", err)
		case int64(len(b)) != l.size:
			in.Fault("audit_lines", name(l), "it holds %d bytes, not %d", len(b), l.size)
		}
	}, `SELECT node, segment, place, size, form, lines FROM audit_lines`)
	if err != nil {
		return err
	}
	var node string
	err = store.Each(in, tx, "audit_nodes", func(r store.Row) (string, error) { return node, r.Scan(&node) }, func(*string) string { return node }, func(*string) {
		if public[node] == nil {
			in.Fault("audit_nodes", node, "it has no signing key")
		}
	}, `SELECT node FROM audit_nodes`)
	if err != nil {
		return err
	}
	return in.Orphans(tx, "audit_pending", "its node has no signing key", `SELECT p.node || ' ' || p.event_id FROM audit_pending p
		WHERE NOT EXISTS (SELECT 1 FROM audit_keys k WHERE k.node = p.node)`)
}

func scanHead(r store.Row) (h Head, err error) {
	var segment, seq, at int64
	var chain []byte
	if err := r.Scan(&h.Node, &segment, &seq, &chain, &at, &h.Signature); err != nil {
		return h, err
	}
	h.Segment, h.Seq, h.Time = uint64(segment), uint64(seq), time.UnixMicro(at).UTC()
	if len(chain) != len(h.Chain) {
		return h, fmt.Errorf("chain hash of %d bytes", len(chain))
	}
	h.Chain = Hash(chain)
	return h, nil
}
