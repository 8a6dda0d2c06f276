package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/agentkernel/agentkernel/fault"
)

// KeyPrefix begins every API key, so that one can be recognised where it should not be.
const KeyPrefix = "ak_"

const hashPrefix = "sha256:"

// Key is an API key as the server knows it.
type Key struct {
	ID     string   // names it in journals and logs; unique
	Hash   string   // "sha256:" and 64 hexadecimal digits, as [NewKey] and [Hash] give it
	Tenant string   // whose sessions it opens; empty where there is only one tenant
	Roles  []string // user, approver, operator; empty is user
}

// NewKey makes a random key of 260 bits, and the hash to configure. The key itself is shown to its owner once and kept
// nowhere.
func NewKey() (key, hash string) {
	key = KeyPrefix + strings.ToLower(rand.Text()+rand.Text())
	return key, Hash(key)
}

// Hash is what to configure for a key.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// Keys authenticates by API key: "Authorization: Bearer ak_…" or "X-API-Key: ak_…".
type Keys struct {
	live atomic.Pointer[[]liveKey]
}

type liveKey struct {
	hash     [sha256.Size]byte
	identity Identity
}

// NewKeys makes an authenticator of keys. All that is wrong with them is reported at once, as one error of kind Config.
func NewKeys(keys []Key) (*Keys, error) {
	k := &Keys{}
	if err := k.Replace(keys); err != nil {
		return nil, err
	}
	return k, nil
}

// Replace puts other keys in force; requests see the old ones or the new ones, never a mixture. After an error the old
// ones stay.
func (k *Keys) Replace(keys []Key) error {
	var wrong []error
	bad := func(i int, format string, args ...any) {
		wrong = append(wrong, fault.New(fault.Config, "", "key %d: "+format, append([]any{i + 1}, args...)...))
	}
	live := make([]liveKey, len(keys))
	for i, key := range keys {
		digits, ok := strings.CutPrefix(key.Hash, hashPrefix)
		n, err := hex.Decode(live[i].hash[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
		if !ok || err != nil || n != sha256.Size || len(digits) != 2*sha256.Size {
			bad(i, "the hash is not sha256: and 64 hexadecimal digits") // it is not shown: it may be the key
		}
		if strings.HasPrefix(key.ID, KeyPrefix) || !subjectText(key.ID) {
			bad(i, "the id must have 1 to %d printable characters and must not be a key", maxSubject)
		}
		if key.Tenant != "" && !idText(key.Tenant) {
			bad(i, "the tenant must have 1 to %d characters out of letters, digits and -._:@+=", maxTenant)
		}
		roles := named(key.Roles)
		for _, r := range key.Roles {
			if !slices.Contains(Roles(), Role(r)) {
				bad(i, "there is no role %.40q, only user, approver and operator", r)
			}
		}
		if len(key.Roles) == 0 {
			roles = []string{string(User)}
		}
		for j := range i {
			if keys[j].ID == key.ID {
				bad(i, "it has the same id as key %d", j+1)
			}
			if live[j].hash == live[i].hash {
				bad(i, "it has the same hash as key %d", j+1)
			}
		}
		live[i].identity = Identity{Tenant: key.Tenant, Subject: key.ID, Roles: roles}
	}
	if err := errors.Join(wrong...); err != nil {
		return fault.New(fault.Config, "", "the API keys cannot be used: %w", err).WithTry("make a key with NewKey, and configure its hash")
	}
	k.live.Store(&live)
	return nil
}

// Authenticate finds the key that a request carries.
func (k *Keys) Authenticate(_ context.Context, r *http.Request) (Identity, error) {
	presented, err := apiKey(r)
	if err != nil {
		return Identity{}, err
	}
	sum := sha256.Sum256([]byte(presented))
	found := -1
	live := *k.live.Load()
	for i := range live { // to the end, so that the time does not tell which one it was
		if subtle.ConstantTimeCompare(sum[:], live[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Identity{}, unauthenticated("no such API key is in force").WithTry("ask for a key; an old one may have been replaced")
	}
	id := live[found].identity
	id.Roles = slices.Clone(id.Roles)
	return id, nil
}

// apiKey is the key that a request carries.
func apiKey(r *http.Request) (string, error) {
	key, err := bearer(r)
	if err != nil {
		return "", err
	}
	switch values := r.Header["X-Api-Key"]; {
	case len(values) == 0 && key == "":
		return "", unauthenticated("an API key is needed").WithTry("send the header Authorization: Bearer, a space, and the key; or X-API-Key with the key")
	case len(values) == 0:
	case key != "" || len(values) > 1:
		return "", unauthenticated("more than one API key was sent").WithTry("send one, in one header")
	default:
		key = values[0]
	}
	if !strings.HasPrefix(key, KeyPrefix) || len(key) > maxKey {
		return "", unauthenticated("the credential is not an API key").WithTry("send a key, which begins with %s", KeyPrefix)
	}
	return key, nil
}
