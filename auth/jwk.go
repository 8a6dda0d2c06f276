package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

// algorithms are those that may be allowed, and the sort of key that each needs. There is no "none", and none with a
// shared secret: the provider's public key must never be taken for one.
var algorithms = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
	"PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521",
	"EdDSA": "Ed25519",
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

// key is one of the provider's public keys.
type key struct {
	public crypto.PublicKey
	sort   string // RSA, or the curve
	alg    string // the only algorithm it is for; empty when the provider does not say
}

// fits reports whether the key may check a signature of an algorithm.
func (k key) fits(alg string) bool {
	return algorithms[alg] == k.sort && (k.alg == "" || k.alg == alg)
}

const (
	maxKeys    = 200 // of a provider
	maxKeyID   = 512 // bytes
	minRSABits = 2048
	maxRSABits = 8192
)

// parseKeys reads a key set (RFC 7517): the usable keys by id. Keys of other sorts or for other uses are left out, as
// the RFC demands; a set without any usable key is an error.
func parseKeys(body []byte) (map[string][]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, at most %d are read", len(set.Keys), maxKeys)
	}
	keys := map[string][]key{}
	for _, raw := range set.Keys {
		if id, k, ok := parseKey(raw); ok {
			keys[id] = append(keys[id], k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("none of the %d keys of the key set can be used", len(set.Keys))
	}
	return keys, nil
}

type jwk struct {
	Kty string   `json:"kty"`
	Kid string   `json:"kid"`
	Use string   `json:"use"`
	Ops []string `json:"key_ops"`
	Alg string   `json:"alg"`
	Crv string   `json:"crv"`
	N   string   `json:"n"`
	E   string   `json:"e"`
	X   string   `json:"x"`
	Y   string   `json:"y"`
}

func parseKey(raw []byte) (id string, k key, ok bool) {
	var j jwk
	if json.Unmarshal(raw, &j) != nil || j.Kid == "" || len(j.Kid) > maxKeyID {
		return "", k, false
	}
	if j.Use != "" && j.Use != "sig" || len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify") {
		return "", k, false
	}
	k.alg = j.Alg
	switch j.Kty {
	case "RSA":
		k.sort = "RSA"
		k.public, ok = rsaKey(j)
	case "EC":
		k.sort = j.Crv
		k.public, ok = curveKey(j)
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		k.sort, k.public = j.Crv, ed25519.PublicKey(x)
		ok = err == nil && j.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize
	}
	return j.Kid, k, ok && (k.alg == "" || k.fits(k.alg))
}

func rsaKey(j jwk) (crypto.PublicKey, bool) {
	n, err := base64.RawURLEncoding.DecodeString(j.N)
	e, err2 := base64.RawURLEncoding.DecodeString(j.E)
	if err != nil || err2 != nil || len(e) > 4 {
		return nil, false
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	bits := pub.N.BitLen()
	return pub, bits >= minRSABits && bits <= maxRSABits && pub.N.Bit(0) == 1 && pub.E >= 3 && pub.E < 1<<31 && pub.E%2 == 1
}

func curveKey(j jwk) (crypto.PublicKey, bool) {
	curve, ok := curves[j.Crv]
	x, err := base64.RawURLEncoding.DecodeString(j.X)
	y, err2 := base64.RawURLEncoding.DecodeString(j.Y)
	if !ok || err != nil || err2 != nil || len(x) != len(y) {
		return nil, false
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // checks that it is a point of the curve
	return pub, err == nil
}
