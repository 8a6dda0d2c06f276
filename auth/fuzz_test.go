package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// FuzzCredentials: whatever the headers are, they are refused by both authenticators with one of their kinds, and the
// text of the refusal has nothing of what was sent.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{"", "Bearer ", "Bearer ak_0123456789abcdef", "Basic eDp5", "Bearer a.b.c", "bearer  =.=.="} {
		f.Add(seed, "", true)
		f.Add("", seed, true)
	}
	f.Add("Bearer "+b64([]byte(`{"alg":"ES256","kid":"one"}`))+"."+b64([]byte(`{"iss":"x"}`))+".AAAA", "", false)
	_, hash := NewKey()
	keys, err := NewKeys([]Key{{ID: "k", Hash: hash}})
	if err != nil {
		f.Fatal(err)
	}
	j, err := NewJWT(JWTConfig{Issuer: "https://id.example", Audience: audience})
	if err != nil {
		f.Fatal(err)
	}
	j.keys.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return answerOf(must(json.Marshal(object{"keys": []any{one.public()}}))), nil
	})
	j.keys.url = "https://id.example/keys"
	f.Fuzz(func(t *testing.T, authorization, apiKey string, both bool) {
		r := request()
		r.Header["Authorization"] = []string{authorization}
		if both {
			r.Header["X-Api-Key"] = []string{apiKey}
		}
		for _, a := range []Authenticator{keys, j} {
			id, err := a.Authenticate(t.Context(), r)
			if kind := fault.KindOf(err); kind != fault.Unauthenticated || id.Subject != "" || id.Roles != nil {
				t.Fatalf("%+v, %v", id, err)
			}
			text := err.Error() + fault.Try(err)
			for _, sent := range append(strings.FieldsFunc(authorization, func(c rune) bool { return c == ' ' || c == '.' }), apiKey) {
				if len(sent) > 16 && strings.Contains(text, sent) && !strings.Contains("https://id.example", sent) {
					t.Fatalf("%q has what was sent", text)
				}
			}
		}
	})
}

// FuzzTokens: whatever a token's header and content are, signed by the provider or not, nothing breaks, and whoever is
// let in has a name, a tenant and roles.
func FuzzTokens(f *testing.F) {
	f.Add(`{"alg":"ES256","kid":"one"}`, `{"iss":"https://id.example","aud":["agents"],"sub":"u","exp":9e9,"tenant":"acme","r":{"s":["user"]}}`, true)
	f.Add(`{"alg":"ES256","kid":"one"}`, `{"iss":"https://id.example","aud":"agents","sub":"u","exp":9e9,"tenant":"acme","r":"operator"}`, false)
	f.Add(`{"alg":"none"}`, `null`, false)
	j, err := NewJWT(JWTConfig{Issuer: "https://id.example", Audience: audience, JWKSURL: "https://id.example/keys", TenantClaim: "tenant", RolesClaim: "r.s"})
	if err != nil {
		f.Fatal(err)
	}
	j.keys.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return answerOf(must(json.Marshal(object{"keys": []any{one.public()}}))), nil
	})
	f.Fuzz(func(t *testing.T, header, content string, signed bool) {
		token := b64([]byte(header)) + "." + b64([]byte(content)) + ".AAAA"
		if signed {
			token = one.sign(json.RawMessage(orNull(header)), json.RawMessage(orNull(content)))
		}
		id, err := j.Authenticate(t.Context(), request("Authorization", "Bearer "+token))
		switch kind := fault.KindOf(err); {
		case err == nil && signed:
			if !subjectText(id.Subject) || !idText(id.Tenant) || len(named(id.Roles)) != len(id.Roles) {
				t.Fatalf("%+v", id)
			}
		case kind != fault.Unauthenticated && kind != fault.Forbidden:
			t.Fatalf("%+v, %v", id, err)
		}
	})
}

func orNull(text string) string {
	if !json.Valid([]byte(text)) {
		return "null"
	}
	return text
}

// FuzzKeySet: whatever a provider answers, a key that is kept can be used.
func FuzzKeySet(f *testing.F) {
	for _, s := range signers() {
		f.Add(must(json.Marshal(object{"keys": []any{s.public()}})))
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"x","n":"AQ","e":"AQAB"},null,7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for id, list := range keys {
			for _, k := range list {
				if id == "" || !usable(k.public) || k.alg != "" && !k.fits(k.alg) {
					t.Fatalf("%q %+v", id, k)
				}
			}
		}
	})
}

func usable(k crypto.PublicKey) bool {
	switch k := k.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits && k.E > 2
	case *ecdsa.PublicKey:
		_, err := k.Bytes()
		return err == nil
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}
