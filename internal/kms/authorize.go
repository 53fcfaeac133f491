package kms

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/internal/auth"
	"github.com/strongroom/strongroom/internal/aws"
	"github.com/strongroom/strongroom/internal/wire"
)

// access is what an operation asks of the key it names.
type access struct {
	// action is the permission, such as "kms:Decrypt".
	action string
	// keyID is the key as the caller wrote it.
	keyID string
	// aliases says that alias names and alias ARNs are accepted (spec kms.md 2).
	aliases bool
	// crossAccount says that the key may belong to another account.
	crossAccount bool
	// changes says that the operation changes the key, its policy or its
	// aliases, which nobody may do to an AWS-managed key.
	changes bool
	// crypto says that the operation encrypts or decrypts, with algorithm (nil
	// for the default) and encryption context ec.
	crypto    bool
	algorithm *string
	ec        map[string]string
	// keys are further context keys.
	keys []auth.Key
}

// open resolves the key that a names and decides whether the caller may do what
// a says. Only permitted callers learn that a key is missing.
func (s *Service) open(ctx context.Context, a *access) (*loadedKey, error) {
	call := wire.CallFrom(ctx)
	ref, err := parseReference(a.keyID, place{call.Principal.Account, call.Region}, a.aliases)
	if err != nil {
		return nil, err
	}
	k, err := s.find(ctx, &ref)
	if errors.Is(err, errNoKey) {
		return nil, s.refuseMissing(ctx, a, &ref)
	}
	if err != nil {
		return nil, err
	}
	if err := s.decide(ctx, a, &ref, k); err != nil {
		return nil, err
	}
	return k, nil
}

// find looks a reference up, or returns errNoKey.
func (s *Service) find(ctx context.Context, ref *reference) (*loadedKey, error) {
	id := ref.id
	if ref.alias != "" {
		var err error
		if id, err = s.cache.alias(ctx, ref.place, ref.alias); err != nil {
			return nil, err
		}
	}
	return s.cache.key(ctx, ref.place, id)
}

// decide asks for a's permission on k.
func (s *Service) decide(ctx context.Context, a *access, ref *reference, k *loadedKey) error {
	call := wire.CallFrom(ctx)
	foreign := k.account != call.Principal.Account
	q := &auth.Request{
		Action:    a.action,
		Resource:  k.arnText,
		Shown:     k.arnText,
		Account:   k.account,
		Policy:    &k.source,
		Mandatory: true,
		Tags:      k.Tags,
		Keys:      a.facts(call, ref),
		Standing:  k.facts,
	}
	if ref.alias != "" && foreign {
		// A stranger who names an alias must not learn the key behind it.
		q.Shown = ref.shown
	}
	// Without a policy a mandatory decision denies. The policies of managed
	// keys and the rules of AWS say the same; this holds should a text ever be
	// wrong (spec kms.md 8.4, iam-policy-evaluation.md 8).
	if foreign && (!a.crossAccount || k.managed()) || a.changes && k.managed() {
		q.Policy = nil
	}
	if err := s.auth.Authorize(ctx, q); err != nil {
		return err
	}
	call.Touch(wire.Resource{ARN: k.arnText, Type: resourceType, Account: k.account})
	return nil
}

// refuseMissing answers for a key or alias that does not exist. In the caller's
// own account the identity policies decide whether he is told so; a key of
// another account is denied like one that consents to nothing (spec kms.md 11).
func (s *Service) refuseMissing(ctx context.Context, a *access, ref *reference) error {
	if err := s.decideMissing(ctx, a, ref); err != nil {
		return err
	}
	return ref.missing()
}

func (s *Service) decideMissing(ctx context.Context, a *access, ref *reference) error {
	call := wire.CallFrom(ctx)
	return s.auth.Authorize(ctx, &auth.Request{
		Action:    a.action,
		Resource:  ref.arn(),
		Shown:     ref.shown,
		Account:   ref.account,
		Mandatory: ref.account != call.Principal.Account,
		Keys:      a.facts(call, ref),
	})
}

// authorizeList decides a listing, which has no key, by identity policies alone
// (spec kms.md 8.2). It has none of the condition keys of KMS.
func (s *Service) authorizeList(ctx context.Context, action string) error {
	call := wire.CallFrom(ctx)
	return s.auth.Authorize(ctx, &auth.Request{
		Action: action, Resource: "*", Shown: "*", Account: call.Principal.Account,
	})
}

// The condition keys of spec kms.md 8.3, in lower case: policies compare them
// without case, and so they cost no conversion on the way.
const (
	keyCallerAccount   = "kms:calleraccount"
	keyViaService      = "kms:viaservice"
	keyRequestAlias    = "kms:requestalias"
	keyAlgorithm       = "kms:encryptionalgorithm"
	keyContext         = "kms:encryptioncontext:"
	keyContextKeys     = "kms:encryptioncontextkeys"
	keyLockoutBypass   = "kms:bypasspolicylockoutsafetycheck"
	keyPendingWindow   = "kms:schedulekeydeletionpendingwindowindays"
	keySpec            = "kms:keyspec"
	keyUsage           = "kms:keyusage"
	keyOrigin          = "kms:keyorigin"
	keyMultiRegion     = "kms:multiregion"
	keyResourceAliases = "kms:resourcealiases"
	keySpecDeprecated  = "kms:customermasterkeyspec"
	keyUsageDeprecated = "kms:customermasterkeyusage"
	viaSuffix          = ".amazonaws.com"
)

// keyFacts are the keys that describe what a key is.
func (k *key) keyFacts(aliases []string) []auth.Key {
	facts := []auth.Key{
		{Name: keySpec, Values: []string{k.Spec}},
		{Name: keyUsage, Values: []string{k.Usage}},
		{Name: keySpecDeprecated, Values: []string{k.Spec}},
		{Name: keyUsageDeprecated, Values: []string{k.Usage}},
		{Name: keyOrigin, Values: []string{k.Origin}},
		{Name: keyMultiRegion, Values: []string{"false"}},
	}
	if len(aliases) > 0 {
		facts = append(facts, auth.Key{Name: keyResourceAliases, Values: aliases, Multi: true})
	}
	return slices.Clip(facts)
}

// callFacts are the keys that follow from the call.
func callFacts(call *wire.Call) []auth.Key {
	f := newFacts(2)
	f.call(call)
	return f.keys
}

// facts are all context keys of a use of a key but those of the key itself.
func (a *access) facts(call *wire.Call, ref *reference) []auth.Key {
	f := newFacts(5 + len(a.ec) + len(a.keys))
	f.call(call)
	if ref.alias != "" {
		f.add(keyRequestAlias, ref.alias)
	}
	if a.crypto {
		f.crypto(a.algorithm, a.ec)
	}
	return append(f.keys, a.keys...)
}

// facts collects context keys. Their values share one array: this is on the path
// of every read of a secret.
type facts struct {
	keys   []auth.Key
	values []string
}

func newFacts(most int) *facts {
	return &facts{keys: make([]auth.Key, 0, most), values: make([]string, 0, most)}
}

func (f *facts) add(name, value string) {
	f.values = append(f.values, value)
	n := len(f.values)
	f.keys = append(f.keys, auth.Key{Name: name, Values: f.values[n-1 : n : n]})
}

// call adds what follows from the call. kms:ViaService is there only when a
// service calls with the caller's rights (spec kms.md 8.3).
func (f *facts) call(call *wire.Call) {
	if call.Principal.Type != aws.PrincipalService {
		f.add(keyCallerAccount, call.Principal.Account)
	}
	if service, ok := strings.CutSuffix(call.Via, viaSuffix); ok {
		f.add(keyViaService, service+"."+call.Region+viaSuffix)
	}
}

func (f *facts) crypto(algorithm *string, ec map[string]string) {
	used := EncryptionAlgorithmSpecSymmetricDefault
	if algorithm != nil {
		used = *algorithm
	}
	f.add(keyAlgorithm, used)
	if len(ec) == 0 {
		return
	}
	names := make([]string, 0, len(ec))
	for name := range ec {
		names = append(names, name)
	}
	// In order, since policies read names without case: of two that differ only
	// in case the last one counts, and always the same one.
	slices.Sort(names)
	for _, name := range names {
		f.add(keyContext+name, ec[name])
	}
	f.keys = append(f.keys, auth.Key{Name: keyContextKeys, Values: names, Multi: true})
}

func boolText(b *bool) string {
	if b != nil && *b {
		return "true"
	}
	return "false"
}
