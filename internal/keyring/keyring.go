// Package keyring seals what Strongroom keeps secret in its own database: KMS
// material, access-key secrets, signing seeds. It holds generations of storage
// keys, which the root key wraps (package seal): the newest seals, all of them
// open.
//
// Its one invariant: a sealed blob opens only with the purpose and the
// additional data that it was sealed with, and storage keys leave the process
// only wrapped.
package keyring

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/strongroom/strongroom/internal/keyring/envelope"
	"github.com/strongroom/strongroom/internal/memory"
	"github.com/strongroom/strongroom/internal/seal"
)

// Key is a stored generation of the storage key. Nothing in it is secret.
type Key struct {
	// ID is 32 hexadecimal digits.
	ID string
	// Provider is the ID of the root key that wrapped it, for messages only.
	Provider string
	// Wrapped is the key under the root key, bound to ID and Created.
	Wrapped []byte
	// Created is in microseconds precision; the newest key seals.
	Created time.Time
}

// Store keeps the generations. They are added, never changed.
type Store interface {
	// Load returns all keys, in any order.
	Load(ctx context.Context) ([]Key, error)
	// Insert adds a key and returns when it is durable.
	Insert(ctx context.Context, k Key) error
}

var (
	// ErrInvalid is the error for blobs that do not open: altered, of another
	// purpose, or with other additional data. It says no more on purpose.
	ErrInvalid = envelope.ErrInvalidCiphertext
	// ErrUnknownKey is the error for blobs under a generation that is not there:
	// the database is incomplete, or not the one they come from.
	ErrUnknownKey = errors.New("sealed under a storage key that the keyring does not have")
	// ErrEmpty is Open's error for a store without keys.
	ErrEmpty = errors.New("keyring is empty")
	// ErrExists is Init's error for a store that has keys.
	ErrExists = errors.New("keyring has keys already")
	// ErrClosed is the error after Close.
	ErrClosed = errors.New("keyring is closed")
)

const (
	maxPurpose = 64
	// A server with a thousand generations has been rotated daily for three years
	// without being rewrapped; more rows than that are an attack or an accident.
	maxKeys = 1000

	// reloadTimeout bounds a reload that Open starts for an unknown generation,
	// reloadEvery how often foreign blobs can make it do so.
	reloadTimeout = 5 * time.Second
	reloadEvery   = time.Second
)

// Keyring seals and opens. It is safe for concurrent use.
type Keyring struct {
	store    Store
	provider seal.Provider
	now      func() time.Time

	// change is held by whoever adds keys, over store and provider calls. It
	// guards missed. It comes before mu.
	change sync.Mutex
	missed time.Time // when an unknown generation last caused a reload

	// mu is read-held while a key is in use, so that Close never clears one under
	// the hands of a Seal, which would then encrypt under zeros.
	mu     sync.RWMutex
	keys   map[envelope.MaterialID]generation // id → key
	active generation
	closed bool
}

// generation is an unwrapped key.
type generation struct {
	id      envelope.MaterialID
	created time.Time
	secret  *memory.Secret
}

// newer orders generations: by time, by id where two nodes made one in the same
// microsecond, so that all nodes agree.
func newer(a, b generation) int {
	return cmp.Or(a.created.Compare(b.created), slices.Compare(a.id[:], b.id[:]))
}

// Init stores the first key of a new deployment. It refuses a store that has
// keys. A server opens and never initialises: with a fresh key over an old
// database every stored secret would look damaged.
func Init(ctx context.Context, s Store, p seal.Provider, now func() time.Time) error {
	stored, err := s.Load(ctx)
	if err != nil {
		return fmt.Errorf("initialise keyring: %w", err)
	}
	if len(stored) > 0 {
		return fmt.Errorf("initialise keyring: %w", ErrExists)
	}
	g, err := create(ctx, s, p, now())
	if err != nil {
		return fmt.Errorf("initialise keyring: %w", err)
	}
	g.secret.Close()
	return nil
}

// Open unwraps all stored keys. It fails with seal.ErrWrongKey when the root key
// is another one than the keys were wrapped by, with ErrEmpty before Init, and
// changes nothing in either case.
func Open(ctx context.Context, s Store, p seal.Provider, now func() time.Time) (*Keyring, error) {
	k := &Keyring{store: s, provider: p, now: now, keys: map[envelope.MaterialID]generation{}}
	if err := k.Reload(ctx); err != nil {
		k.Close()
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	return k, nil
}

// Close clears the keys. It waits for calls under way; later ones fail with
// ErrClosed.
func (k *Keyring) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, g := range k.keys {
		g.secret.Close()
	}
	clear(k.keys)
	k.active = generation{}
}

// Locked says whether the system has promised to swap none of the keys.
func (k *Keyring) Locked() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, g := range k.keys {
		if !g.secret.Locked() {
			return false
		}
	}
	return !k.closed
}

// Seal encrypts plaintext, of at most 64 KiB, under the newest key. purpose
// names what is sealed, such as "iam.access-key", in 1 to 64 bytes; aad says
// whose it is. A blob is 93 bytes longer than its plaintext.
func (k *Keyring) Seal(purpose string, aad, plaintext []byte) ([]byte, error) {
	if purpose == "" || len(purpose) > maxPurpose {
		return nil, fmt.Errorf("seal: purpose of %d bytes, want 1 to %d", len(purpose), maxPurpose)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, ErrClosed
	}
	return envelope.Seal(envelope.Keyring, envelope.Name{Material: k.active.id}, k.active.secret.Bytes(), bind(purpose, aad), plaintext)
}

// Open decrypts what Seal made with the same purpose and aad. The caller owns the
// result and clears it after use. A generation that another node has made since
// is fetched from the store first, so Open has no place inside a transaction.
func (k *Keyring) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	blob, err := envelope.Parse(envelope.Keyring, sealed)
	if err != nil {
		return nil, err
	}
	plaintext, err := k.open(blob, purpose, aad)
	if !errors.Is(err, ErrUnknownKey) {
		return plaintext, err
	}
	if err := k.catchUp(blob.Name.Material); err != nil {
		return nil, err
	}
	return k.open(blob, purpose, aad)
}

func (k *Keyring) open(blob envelope.Blob, purpose string, aad []byte) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, ErrClosed
	}
	g, ok := k.keys[blob.Name.Material]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, hex.EncodeToString(blob.Name.Material[:]))
	}
	return blob.Open(g.secret.Bytes(), bind(purpose, aad))
}

// Derive makes n bytes (at most 32) that follow from a blob of Seal's and the
// storage key that sealed it: a secret that need not be stored where its blob is
// at hand. The blob is not opened; open it first to know that it is genuine.
func (k *Keyring) Derive(purpose string, aad, sealed []byte, n int) ([]byte, error) {
	blob, err := envelope.Parse(envelope.Keyring, sealed)
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.closed {
		return nil, ErrClosed
	}
	g, ok := k.keys[blob.Name.Material]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, hex.EncodeToString(blob.Name.Material[:]))
	}
	return envelope.Derive(g.secret.Bytes(), sealed, bind(purpose, aad), n)
}

// Rewrap seals again what is sealed under an older key than the newest, so that
// nothing depends on the older one. It returns sealed itself and false when
// there is nothing to do.
func (k *Keyring) Rewrap(purpose string, aad, sealed []byte) (fresh []byte, changed bool, err error) {
	blob, err := envelope.Parse(envelope.Keyring, sealed)
	if err != nil {
		return nil, false, err
	}
	k.mu.RLock()
	current := !k.closed && blob.Name.Material == k.active.id
	k.mu.RUnlock()
	if current {
		return sealed, false, nil
	}
	plaintext, err := k.Open(purpose, aad, sealed)
	if err != nil {
		return nil, false, err
	}
	defer clear(plaintext)
	fresh, err = k.Seal(purpose, aad, plaintext)
	return fresh, err == nil, err
}

// Rotate adds a key, which seals from now on. Other nodes seal under it after
// their next Reload, and open what it sealed at once.
func (k *Keyring) Rotate(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	// First what others have added: the new key has to be newer than all.
	if err := k.reload(ctx); err != nil {
		return fmt.Errorf("rotate keyring: %w", err)
	}
	k.mu.RLock()
	created := k.active.created.Add(time.Microsecond)
	k.mu.RUnlock()
	// A clock that was set back must not make a key that is old from the start.
	if now := k.now(); now.After(created) {
		created = now
	}
	g, err := create(ctx, k.store, k.provider, created)
	if err != nil {
		return fmt.Errorf("rotate keyring: %w", err)
	}
	return k.add([]generation{g})
}

// Reload takes up keys that other nodes have added.
func (k *Keyring) Reload(ctx context.Context) error {
	k.change.Lock()
	defer k.change.Unlock()
	return k.reload(ctx)
}

// catchUp reloads because a blob named an unknown generation, unless that has
// just been tried.
func (k *Keyring) catchUp(id envelope.MaterialID) error {
	k.change.Lock()
	defer k.change.Unlock()
	k.mu.RLock()
	_, known := k.keys[id]
	k.mu.RUnlock()
	now := k.now()
	if since := now.Sub(k.missed); known || since >= 0 && since < reloadEvery {
		return nil
	}
	k.missed = now
	// Not the caller's context: the keys serve everyone who waits here.
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	return k.reload(ctx)
}

// reload expects change to be held.
func (k *Keyring) reload(ctx context.Context) error {
	stored, err := k.store.Load(ctx)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		return ErrEmpty
	}
	if len(stored) > maxKeys {
		return fmt.Errorf("%d storage keys, at most %d", len(stored), maxKeys)
	}
	var fresh []generation
	for _, s := range stored {
		id, err := parseID(s.ID)
		if err != nil {
			return err
		}
		k.mu.RLock()
		_, known := k.keys[id]
		k.mu.RUnlock()
		if known {
			continue
		}
		secret, err := k.unwrap(ctx, s)
		if err != nil {
			for _, g := range fresh {
				g.secret.Close()
			}
			return err
		}
		fresh = append(fresh, generation{id, s.Created, memory.Hold(secret)})
	}
	return k.add(fresh)
}

func (k *Keyring) unwrap(ctx context.Context, s Key) ([]byte, error) {
	secret, err := k.provider.Unwrap(ctx, s.Wrapped, wrapAAD(s.ID, s.Created))
	if err != nil {
		// Providers that cannot tell a wrong key from damage leave it to the name.
		if id := k.provider.ID(); s.Provider != id && !errors.Is(err, seal.ErrWrongKey) {
			return nil, fmt.Errorf("storage key %s: %w: wrapped by %q, this is %q: %w", s.ID, seal.ErrWrongKey, s.Provider, id, err)
		}
		return nil, fmt.Errorf("storage key %s: %w", s.ID, err)
	}
	if len(secret) != envelope.MaterialSize {
		clear(secret)
		return nil, fmt.Errorf("storage key %s: %w", s.ID, seal.ErrDamaged)
	}
	return secret, nil
}

// add takes ownership of fresh.
func (k *Keyring) add(fresh []generation) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, g := range fresh {
		if k.closed {
			g.secret.Close()
			continue
		}
		k.keys[g.id] = g
		if k.active.secret == nil || newer(g, k.active) > 0 {
			k.active = g
		}
	}
	if k.closed {
		return ErrClosed
	}
	return nil
}

// create makes, wraps and stores a key.
func create(ctx context.Context, s Store, p seal.Provider, created time.Time) (generation, error) {
	g := generation{created: created.UTC().Truncate(time.Microsecond), secret: memory.Hold(make([]byte, envelope.MaterialSize))}
	// Read never fails: the runtime ends the process rather than hand out weak
	// bytes (crypto/rand).
	_, _ = rand.Read(g.id[:])
	_, _ = rand.Read(g.secret.Bytes())
	id := hex.EncodeToString(g.id[:])
	wrapped, err := p.Wrap(ctx, g.secret.Bytes(), wrapAAD(id, g.created))
	if err == nil {
		err = s.Insert(ctx, Key{ID: id, Provider: p.ID(), Wrapped: wrapped, Created: g.created})
	}
	if err != nil {
		g.secret.Close()
		return generation{}, fmt.Errorf("create storage key: %w", err)
	}
	return g, nil
}

// wrapAAD binds a wrapped key to its row. The time is in it because it decides
// which key seals: whoever can write to the database must not bring an old,
// perhaps stolen, key back into use.
func wrapAAD(id string, created time.Time) []byte {
	out := envelope.AppendText(nil, "strongroom storage key v1")
	out = envelope.AppendText(out, id)
	return binary.BigEndian.AppendUint64(out, uint64(created.UnixMicro()))
}

// bind joins purpose and additional data so that no two pairs give the same
// bytes.
func bind(purpose string, aad []byte) []byte {
	out := make([]byte, 0, 8+len(purpose)+len(aad))
	return envelope.AppendText(envelope.AppendText(out, purpose), aad)
}

func parseID(s string) (id envelope.MaterialID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, errors.New("storage key without a proper id")
	}
	return envelope.MaterialID(b), nil
}
