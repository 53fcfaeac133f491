package oidc_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/strongroom/strongroom/internal/oidc"
)

// TestAlgorithms: each accepted algorithm verifies, with keys from discovery and
// from a pasted document alike.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	all := []map[string]any{jwk("rsa", "rsa", nil), jwk("p256", "p256", nil), jwk("p384", "p384", nil), jwk("p521", "p521", nil), jwk("ed", "ed", nil)}
	discovered, pasted := oidc.New(published(all...).fetch), provider
	pasted.JWKS = jwks(all...)
	if err := oidc.CheckKeys(pasted.JWKS); err != nil {
		t.Error(err)
	}
	offline := oidc.New(nil)
	for alg, k := range map[string]string{"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
		"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed"} {
		raw := sign(t, alg, keys()[k], kid(k), claims(nil))
		if _, err := discovered.Verify(t.Context(), raw, provider, now); err != nil {
			t.Errorf("%s, discovered: %v", alg, err)
		}
		if _, err := offline.Verify(t.Context(), raw, pasted, now); err != nil {
			t.Errorf("%s, pasted: %v", alg, err)
		}
		if iss, err := oidc.Peek(raw); err != nil || iss != issuerURL {
			t.Errorf("%s: peek %q, %v", alg, iss, err)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	p := provider
	p.JWKS = jwks(jwk("a", "p256", nil))
	v := oidc.New(nil)
	for name, c := range map[string]struct {
		changes map[string]any
		want    oidc.Claims
	}{
		"least": {nil, oidc.Claims{Audience: []string{client}}},
		"all": {map[string]any{"aud": []string{"x", client}, "azp": "y", "amr": []string{"pwd", "otp"}, "nbf": now.Unix(), "name": map[string]any{"any": []int{1}}},
			oidc.Claims{Audience: []string{"x", client}, AuthorizedParty: "y", AMR: []string{"pwd", "otp"}, NotBefore: now}},
		"azp is the client": {map[string]any{"aud": "x", "azp": client}, oidc.Claims{Audience: []string{"x"}, AuthorizedParty: client}},
		"times with fractions": {map[string]any{"exp": 1795870800.75, "iat": 1.79586e9},
			oidc.Claims{Audience: []string{client}, Expires: time.Unix(1795870800, 0), IssuedAt: time.Unix(1795860000, 0)}},
		"one method": {map[string]any{"amr": "pwd"}, oidc.Claims{Audience: []string{client}, AMR: []string{"pwd"}}},
		"begins within a minute": {map[string]any{"nbf": now.Add(time.Minute).Unix(), "iat": now.Add(time.Minute).Unix()},
			oidc.Claims{Audience: []string{client}, NotBefore: now.Add(time.Minute), IssuedAt: now.Add(time.Minute)}},
		"names in other cases are other claims": {map[string]any{"ISS": "x", "Sub": "y", "AUD": 1}, oidc.Claims{Audience: []string{client}}},
	} {
		c.want.Issuer, c.want.Subject = issuerURL, "system:serviceaccount:ns:app"
		if c.want.Expires.IsZero() {
			c.want.Expires = now.Add(time.Hour)
		}
		if c.want.IssuedAt.IsZero() {
			c.want.IssuedAt = now.Add(-time.Minute)
		}
		got, err := v.Verify(t.Context(), sign(t, "ES256", keys()["p256"], kid("a"), claims(c.changes)), p, now)
		for _, at := range []*time.Time{&got.Expires, &got.IssuedAt, &got.NotBefore, &c.want.Expires, &c.want.IssuedAt, &c.want.NotBefore} {
			*at = at.UTC()
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

// TestHostile: what must not pass, and with which word.
func TestHostile(t *testing.T) {
	t.Parallel()
	p := provider
	p.JWKS = jwks(jwk("a", "rsa", nil), jwk("b", "p256", nil), jwk("weak", "weak", nil), jwk("bound", "rsa2", map[string]any{"alg": "RS512"}),
		jwk("enc", "other", map[string]any{"use": "enc"}), jwk("ops", "other", map[string]any{"key_ops": []string{"sign"}}))
	good := func(changes map[string]any) string {
		return sign(t, "ES256", keys()["p256"], kid("b"), claims(changes))
	}
	raw := func(payload string) string { return sign(t, "ES256", keys()["p256"], kid("b"), []byte(payload)) }
	valid := good(nil)
	parts := strings.Split(valid, ".")
	body, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	header := func(h string) string { return b64(h) + "." + parts[1] + "." + parts[2] }
	der, err := x509.MarshalPKIXPublicKey(keys()["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) string {
		text := b64(`{"alg":"HS256","kid":"a"}`) + "." + b64(string(body))
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	other := sign(t, "ES256", keys()["other"], kid("b"), claims(nil))
	flipped := []byte(parts[2])
	if flipped[5] = 'A'; parts[2][5] == 'A' {
		flipped[5] = 'Q'
	}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"control":                        {valid, nil},
		"empty":                          {"", oidc.ErrMalformed},
		"not a token":                    {"opaque-access-token", oidc.ErrMalformed},
		"two parts":                      {parts[0] + "." + parts[1], oidc.ErrMalformed},
		"four parts":                     {valid + "." + parts[2], oidc.ErrMalformed},
		"encrypted":                      {strings.Repeat("aaaa.", 4) + "aaaa", oidc.ErrMalformed},
		"no signature":                   {parts[0] + "." + parts[1] + ".", oidc.ErrMalformed},
		"no claims":                      {parts[0] + ".." + parts[2], oidc.ErrMalformed},
		"cut":                            {valid[:len(valid)-2], oidc.ErrSignature},
		"cut in a byte":                  {valid[:len(valid)-1], oidc.ErrMalformed},
		"signature in another spelling":  {respell(valid), oidc.ErrMalformed},
		"padded":                         {valid + "==", oidc.ErrMalformed},
		"line end":                       {valid + "\n", oidc.ErrMalformed},
		"line end inside":                {parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], oidc.ErrMalformed},
		"space before":                   {" " + valid, oidc.ErrMalformed},
		"the JSON form":                  {fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2]), oidc.ErrMalformed},
		"too long":                       {good(map[string]any{"x": strings.Repeat("x", 20_000)}), oidc.ErrMalformed},
		"alg none":                       {b64(`{"alg":"none"}`) + "." + parts[1] + ".", oidc.ErrMalformed},
		"alg none with signature":        {header(`{"alg":"none","kid":"b"}`), oidc.ErrMalformed},
		"alg None":                       {header(`{"alg":"None","kid":"b"}`), oidc.ErrMalformed},
		"alg missing":                    {header(`{"kid":"b"}`), oidc.ErrMalformed},
		"alg in another case":            {header(`{"ALG":"ES256","kid":"b"}`), oidc.ErrMalformed},
		"alg a number":                   {header(`{"alg":1,"kid":"b"}`), oidc.ErrMalformed},
		"alg es256":                      {header(`{"alg":"es256","kid":"b"}`), oidc.ErrMalformed},
		"HS256 under the modulus":        {hs256(keys()["rsa"].Public().(*rsa.PublicKey).N.Bytes()), oidc.ErrMalformed},
		"HS256 under the key in DER":     {hs256(der), oidc.ErrMalformed},
		"HS256 under the key in PEM":     {hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), oidc.ErrMalformed},
		"header no object":               {header(`["alg"]`), oidc.ErrMalformed},
		"header null":                    {header(`null`), oidc.ErrMalformed},
		"header no JSON":                 {header(`{`), oidc.ErrMalformed},
		"header with more":               {header(`{"alg":"ES256","kid":"b"}{}`), oidc.ErrMalformed},
		"header twice kid":               {header(`{"alg":"ES256","kid":"b","kid":"a"}`), oidc.ErrMalformed},
		"header twice alg":               {header(`{"alg":"ES256","alg":"none","kid":"b"}`), oidc.ErrMalformed},
		"header kid a list":              {header(`{"alg":"ES256","kid":["b"]}`), oidc.ErrMalformed},
		"header changed":                 {header(`{"alg":"ES256","kid":"b","x":1}`), oidc.ErrSignature},
		"crit":                           {sign(t, "ES256", keys()["p256"], map[string]any{"kid": "b", "crit": []string{"exp"}, "exp": 1}, claims(nil)), oidc.ErrMalformed},
		"crit empty":                     {header(`{"alg":"ES256","kid":"b","crit":[]}`), oidc.ErrMalformed},
		"b64":                            {header(`{"alg":"ES256","kid":"b","b64":false}`), oidc.ErrMalformed},
		"zip":                            {header(`{"alg":"ES256","kid":"b","zip":"DEF"}`), oidc.ErrMalformed},
		"jwk of the attacker":            {sign(t, "ES256", keys()["other"], map[string]any{"kid": "b", "jwk": jwk("b", "other", nil)}, claims(nil)), oidc.ErrSignature},
		"jwk of the attacker, own kid":   {sign(t, "ES256", keys()["other"], map[string]any{"kid": "mine", "jwk": jwk("mine", "other", nil)}, claims(nil)), oidc.ErrNoKeys},
		"jku of the attacker":            {sign(t, "ES256", keys()["other"], map[string]any{"kid": "mine", "jku": "https://attacker.example/jwks"}, claims(nil)), oidc.ErrNoKeys},
		"x5u of the attacker":            {sign(t, "ES256", keys()["other"], map[string]any{"kid": "mine", "x5u": "https://attacker.example/x5u"}, claims(nil)), oidc.ErrNoKeys},
		"jku beside a good key":          {sign(t, "ES256", keys()["p256"], map[string]any{"kid": "b", "jku": "https://attacker.example/jwks"}, claims(nil)), nil},
		"x5t and typ":                    {sign(t, "ES256", keys()["p256"], map[string]any{"kid": "b", "x5t": "aaaa", "typ": "at+jwt"}, claims(nil)), nil},
		"another key under this kid":     {other, oidc.ErrSignature},
		"signature of another token":     {parts[0] + "." + parts[1] + "." + strings.Split(good(map[string]any{"sub": "x"}), ".")[2], oidc.ErrSignature},
		"claims of another token":        {parts[0] + "." + strings.Split(good(map[string]any{"sub": "root"}), ".")[1] + "." + parts[2], oidc.ErrSignature},
		"one character":                  {parts[0] + "." + parts[1] + "." + string(flipped), oidc.ErrSignature},
		"signature of zeros":             {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), oidc.ErrSignature},
		"signature in DER length":        {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 70)), oidc.ErrSignature},
		"unknown kid":                    {sign(t, "ES256", keys()["p256"], kid("zzz"), claims(nil)), oidc.ErrNoKeys},
		"kid a path":                     {sign(t, "ES256", keys()["p256"], kid("../../dev/null"), claims(nil)), oidc.ErrNoKeys},
		"kid of a key of another type":   {sign(t, "ES256", keys()["p256"], kid("a"), claims(nil)), oidc.ErrNoKeys},
		"kid of a key for encryption":    {sign(t, "ES256", keys()["other"], kid("enc"), claims(nil)), oidc.ErrNoKeys},
		"kid of a key not for verifying": {sign(t, "ES256", keys()["other"], kid("ops"), claims(nil)), oidc.ErrNoKeys},
		"kid of a weak key":              {sign(t, "RS256", keys()["weak"], kid("weak"), claims(nil)), oidc.ErrNoKeys},
		"key bound to another algorithm": {sign(t, "RS256", keys()["rsa2"], kid("bound"), claims(nil)), oidc.ErrNoKeys},
		"key bound to this algorithm":    {sign(t, "RS512", keys()["rsa2"], kid("bound"), claims(nil)), nil},
		"curve of another algorithm":     {sign(t, "ES384", keys()["p384"], kid("b"), claims(nil)), oidc.ErrNoKeys},
		"no kid, one suits":              {sign(t, "ES256", keys()["p256"], nil, claims(nil)), nil},
		"no kid, two suit":               {sign(t, "RS512", keys()["rsa"], nil, claims(nil)), oidc.ErrNoKeys},
		"no kid, none suits":             {sign(t, "EdDSA", keys()["ed"], nil, claims(nil)), oidc.ErrNoKeys},
		"empty kid":                      {header(`{"alg":"ES256","kid":""}`), oidc.ErrMalformed},
		"claims a list":                  {raw(`[1]`), oidc.ErrMalformed},
		"claims null":                    {raw(`null`), oidc.ErrMalformed},
		"claims with more":               {raw(string(body) + `{}`), oidc.ErrMalformed},
		"claims with a comma":            {raw(string(body[:len(body)-1]) + `,}`), oidc.ErrMalformed},
		"sub twice":                      {raw(string(body[:len(body)-1]) + `,"sub":"root"}`), oidc.ErrMalformed},
		"sub twice, once escaped":        {raw(string(body[:len(body)-1]) + `,"\u0073ub":"root"}`), oidc.ErrMalformed},
		"twice further down":             {raw(string(body[:len(body)-1]) + `,"x":[{"a":1,"a":2}]}`), oidc.ErrMalformed},
		"deep":                           {raw(string(body[:len(body)-1]) + `,"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), oidc.ErrMalformed},
		"eleven levels":                  {raw(string(body[:len(body)-1]) + `,"x":` + strings.Repeat("[", 11) + strings.Repeat("]", 11) + `}`), oidc.ErrMalformed},
		"three levels":                   {raw(string(body[:len(body)-1]) + `,"x":[[[]]]}`), nil},
		"many claims":                    {raw(string(body[:len(body)-1]) + `,"x":[` + strings.Repeat("1,", 3000) + `1]}`), oidc.ErrMalformed},
		"not UTF-8":                      {raw(strings.Replace(string(body), "ns:app", "ns:\xff", 1)), oidc.ErrMalformed},
		"half a surrogate":               {raw(strings.Replace(string(body), "ns:app", `ns:\ud800`, 1)), oidc.ErrMalformed},
		"NUL in sub":                     {good(map[string]any{"sub": "a\x00b"}), oidc.ErrMalformed},
		"line end in sub":                {good(map[string]any{"sub": "a\nb"}), oidc.ErrMalformed},
		"huge sub":                       {good(map[string]any{"sub": strings.Repeat("a", 2049)}), oidc.ErrMalformed},
		"no iss":                         {good(map[string]any{"iss": nil}), oidc.ErrMalformed},
		"no sub":                         {good(map[string]any{"sub": nil}), oidc.ErrMalformed},
		"no aud":                         {good(map[string]any{"aud": nil}), oidc.ErrMalformed},
		"no exp":                         {good(map[string]any{"exp": nil}), oidc.ErrMalformed},
		"no iat":                         {good(map[string]any{"iat": nil}), oidc.ErrMalformed},
		"empty sub":                      {good(map[string]any{"sub": ""}), oidc.ErrMalformed},
		"sub a number":                   {good(map[string]any{"sub": 7}), oidc.ErrMalformed},
		"sub null":                       {raw(strings.Replace(string(body), `"system:serviceaccount:ns:app"`, "null", 1)), oidc.ErrMalformed},
		"iss a list":                     {good(map[string]any{"iss": []string{issuerURL}}), oidc.ErrMalformed},
		"aud empty":                      {good(map[string]any{"aud": []string{}}), oidc.ErrMalformed},
		"aud with null":                  {good(map[string]any{"aud": []any{client, nil}}), oidc.ErrMalformed},
		"aud an object":                  {good(map[string]any{"aud": map[string]any{client: 1}}), oidc.ErrMalformed},
		"exp a string":                   {good(map[string]any{"exp": "1900000000"}), oidc.ErrMalformed},
		"exp negative":                   {good(map[string]any{"exp": -1}), oidc.ErrMalformed},
		"exp beyond numbers":             {raw(fmt.Sprintf(`{"iss":%q,"sub":"s","aud":%q,"iat":1,"exp":1e999}`, issuerURL, client)), oidc.ErrMalformed},
		"exp beyond dates":               {good(map[string]any{"exp": 1e15}), oidc.ErrMalformed},
		"exp true":                       {good(map[string]any{"exp": true}), oidc.ErrMalformed},
		"nbf a string":                   {good(map[string]any{"nbf": "soon"}), oidc.ErrMalformed},
		"amr a number":                   {good(map[string]any{"amr": 1}), oidc.ErrMalformed},
		"another issuer":                 {good(map[string]any{"iss": "https://issuer.example/other"}), oidc.ErrIssuer},
		"issuer with a slash":            {good(map[string]any{"iss": issuerURL + "/"}), oidc.ErrIssuer},
		"issuer in capitals":             {good(map[string]any{"iss": "https://ISSUER.example/tenant"}), oidc.ErrIssuer},
		"wrong aud":                      {good(map[string]any{"aud": "somebody"}), oidc.ErrAudience},
		"aud in capitals":                {good(map[string]any{"aud": strings.ToUpper(client)}), oidc.ErrAudience},
		"aud a prefix":                   {good(map[string]any{"aud": client + ".evil.example"}), oidc.ErrAudience},
		"expired this second":            {good(map[string]any{"exp": now.Unix()}), oidc.ErrExpired},
		"expired":                        {good(map[string]any{"exp": 1}), oidc.ErrExpired},
		"expired, forged":                {sign(t, "ES256", keys()["other"], kid("b"), claims(map[string]any{"exp": 1})), oidc.ErrSignature},
		"a second left":                  {good(map[string]any{"exp": now.Unix() + 1}), nil},
		"nbf in the future":              {good(map[string]any{"nbf": now.Add(61 * time.Second).Unix()}), oidc.ErrNotYetValid},
		"iat in the future":              {good(map[string]any{"iat": now.Add(61 * time.Second).Unix()}), oidc.ErrNotYetValid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got, err := oidc.New(nil).Verify(t.Context(), c.token, p, now)
			if !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && !reflect.DeepEqual(got, oidc.Claims{}) {
				t.Errorf("claims beside an error: %+v", got)
			}
			if err != nil && len(err.Error()) > 100 {
				t.Errorf("a long error: %v", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			_, err = oidc.Peek(c.token)
			if malformed := errors.Is(c.want, oidc.ErrMalformed); malformed != (err != nil) || malformed && !errors.Is(err, oidc.ErrMalformed) {
				t.Errorf("peek: %v", err)
			}
		})
	}
}

// respell sets a bit of the last character that no byte comes from: 64 bytes of
// signature leave four.
func respell(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	end := len(raw) - 1
	return raw[:end] + alphabet[strings.IndexByte(alphabet, raw[end])+1:][:1]
}

func TestExpiredTellsBothTimes(t *testing.T) {
	t.Parallel()
	p := provider
	p.JWKS = jwks(jwk("b", "p256", nil))
	_, err := oidc.New(nil).Verify(t.Context(), sign(t, "ES256", keys()["p256"], kid("b"), claims(map[string]any{"exp": 1_700_000_000})), p, now)
	e, ok := errors.AsType[*oidc.ExpiredError](err)
	if !ok || e.Expires.Unix() != 1_700_000_000 || !e.Now.Equal(now) || e.Error() != "token expired: it is 1795867200 and was valid until 1700000000" {
		t.Errorf("got %v", err)
	}
}

func TestNoClientIDs(t *testing.T) {
	t.Parallel()
	p := oidc.Provider{Issuer: issuerURL, JWKS: jwks(jwk("b", "p256", nil))}
	raw := sign(t, "ES256", keys()["p256"], kid("b"), claims(nil))
	for _, ids := range [][]string{nil, {""}} {
		p.ClientIDs = ids
		if _, err := oidc.New(nil).Verify(t.Context(), raw, p, now); !errors.Is(err, oidc.ErrAudience) {
			t.Errorf("%q: %v", ids, err)
		}
	}
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	good := jwk("a", "p256", nil)
	var many []map[string]any
	for range 101 {
		many = append(many, good)
	}
	for name, c := range map[string]struct {
		doc  string
		good bool
	}{
		"one key":                   {string(jwks(good)), true},
		"a good one among useless":  {string(jwks(jwk("w", "weak", nil), map[string]any{"kty": "new"}, map[string]any{}, jwk("e", "rsa", map[string]any{"use": "enc"}), good)), true},
		"damaged certificate":       {string(jwks(jwk("a", "p256", map[string]any{"x5c": []string{"!"}, "x5u": "::"}))), true},
		"empty":                     {"", false},
		"not JSON":                  {"-----BEGIN PUBLIC KEY-----", false},
		"a bare key":                {string(mustJSON(good)), false},
		"no keys":                   {`{"keys":[]}`, false},
		"keys null":                 {`{"keys":null}`, false},
		"keys no list":              {`{"keys":{}}`, false},
		"keys of strings":           {`{"keys":["a",1,null,[]]}`, false},
		"keys twice":                {`{"keys":[],"keys":[` + string(mustJSON(good)) + `]}`, false},
		"weak only":                 {string(jwks(jwk("w", "weak", nil))), false},
		"symmetric":                 {`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, false},
		"a private key beside":      {string(jwks(good, jwk("p", "rsa", map[string]any{"d": "AQAB"}))), false},
		"point off the curve":       {string(jwks(jwk("a", "p256", map[string]any{"x": "AAAA" + strings.Repeat("A", 39)}))), false},
		"too many":                  {string(jwks(many...)), false},
		"too large":                 {`{"x":"` + strings.Repeat("x", 600<<10) + `","keys":[` + string(mustJSON(good)) + `]}`, false},
		"deep":                      {`{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `,"keys":[` + string(mustJSON(good)) + `]}`, false},
		"even exponent":             {string(jwks(jwk("a", "rsa", map[string]any{"e": "AQAA"}))), false},
		"exponent one":              {string(jwks(jwk("a", "rsa", map[string]any{"e": "AQ"}))), false},
		"modulus of 16,384 bits":    {string(jwks(jwk("a", "rsa", map[string]any{"n": strings.Repeat("_", 2731)}))), false},
		"kid a number":              {string(jwks(jwk("a", "p256", map[string]any{"kid": 1}))), false},
		"operations without verify": {string(jwks(jwk("a", "p256", map[string]any{"key_ops": []string{"sign"}}))), false},
	} {
		if err := oidc.CheckKeys([]byte(c.doc)); (err == nil) != c.good || err != nil && !errors.Is(err, oidc.ErrKeySet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzVerify: no text makes it panic, and none verifies but the one that was
// signed. RSA signatures and canonical base64 have one spelling, so the law is
// exact.
func FuzzVerify(f *testing.F) {
	signed := sign(f, "RS256", keys()["rsa"], kid("a"), claims(nil))
	p := provider
	p.JWKS = jwks(jwk("a", "rsa", nil), jwk("b", "p256", nil), jwk("c", "ed", nil))
	parts := strings.Split(signed, ".")
	f.Add(signed)
	f.Add(sign(f, "RS256", keys()["rsa2"], kid("a"), claims(nil)))
	f.Add(sign(f, "ES256", keys()["other"], kid("b"), claims(nil)))
	f.Add(b64(`{"alg":"none"}`) + "." + parts[1] + ".")
	f.Add(b64(`{"alg":"HS256","kid":"a"}`) + "." + parts[1] + "." + parts[2])
	f.Add(b64(`{"alg":"EdDSA","kid":"c"}`) + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)))
	v := oidc.New(nil)
	f.Fuzz(func(t *testing.T, raw string) {
		issuer, peekErr := oidc.Peek(raw)
		if peekErr == nil && (issuer == "" || len(raw) > oidc.MaxToken) || peekErr != nil && !errors.Is(peekErr, oidc.ErrMalformed) {
			t.Fatalf("peek: %q, %v", issuer, peekErr)
		}
		_, err := v.Verify(t.Context(), raw, p, now)
		if err == nil && raw != signed {
			t.Fatalf("verified without the key: %q", raw)
		}
		if raw == signed && err != nil {
			t.Fatal(err)
		}
		if errors.Is(err, oidc.ErrMalformed) != (peekErr != nil) {
			t.Fatalf("peek %v, verify %v", peekErr, err)
		}
	})
}

// FuzzKeys: no document makes the reader panic or brings in a key that is private.
func FuzzKeys(f *testing.F) {
	f.Add(jwks(jwk("a", "rsa", nil), jwk("b", "p521", nil)))
	f.Add(jwks(jwk("c", "ed", map[string]any{"d": "AAAA"})))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}]}`))
	raw := sign(f, "RS256", keys()["rsa"], nil, claims(nil))
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := oidc.CheckKeys(doc)
		p := provider
		p.JWKS = doc
		if _, e := oidc.New(nil).Verify(t.Context(), raw, p, now); len(doc) > 0 && err != nil && e == nil && !strings.Contains(err.Error(), "private") {
			t.Fatalf("check says %v, and it verifies", err)
		}
	})
}
