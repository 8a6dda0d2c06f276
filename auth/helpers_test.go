package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is never waited out when the code is right.
const patience = 20 * time.Second

const audience = "agents"

// signer is one of the provider's key pairs.
type signer struct {
	kid, alg string
	private  crypto.Signer
}

var (
	rsaPair   = must(rsa.GenerateKey(rand.Reader, 2048))
	p256Pair  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384Pair  = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521Pair  = must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	edPair    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	otherPair = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// public is the key as a key set has it.
func (s signer) public() map[string]any {
	j := map[string]any{"kid": s.kid}
	switch pub := s.private.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(pub.Bytes())[1:]
		j["kty"], j["crv"], j["x"], j["y"] = "EC", pub.Params().Name, b64(point[:len(point)/2]), b64(point[len(point)/2:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", b64(pub)
	}
	return j
}

// sign makes a token of any header and content.
func (s signer) sign(header, content any) string {
	text := b64(must(json.Marshal(header))) + "." + b64(must(json.Marshal(content)))
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[s.alg[len(s.alg)-3:]]
	sum := []byte(text)
	if hash != 0 {
		h := hash.New()
		h.Write(sum)
		sum = h.Sum(nil)
	}
	var signed []byte
	switch key := s.private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(s.alg, "PS") {
			signed = must(rsa.SignPSS(rand.Reader, key, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		} else {
			signed = must(rsa.SignPKCS1v15(rand.Reader, key, hash, sum))
		}
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, key, sum)
		if err != nil {
			panic(err)
		}
		size := (key.Params().BitSize + 7) / 8
		signed = append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		signed = ed25519.Sign(key, sum)
	}
	return text + "." + b64(signed)
}

type object = map[string]any

// token signs claims as a provider does.
func (s signer) token(c object) string {
	return s.sign(object{"alg": s.alg, "kid": s.kid, "typ": "JWT"}, c)
}

// provider is an OpenID Connect provider whose moods a test sets.
type provider struct {
	t    *testing.T
	srv  *httptest.Server
	url  string
	hits atomic.Int64 // requests for the key set

	mu     sync.Mutex
	keys   []any
	answer http.HandlerFunc // instead of the keys
}

func newProvider(t *testing.T, signers ...signer) *provider {
	p := &provider{t: t}
	p.publish(signers...)
	p.on("127.0.0.1:0")
	p.url = p.srv.URL
	t.Cleanup(func() { p.off() })
	return p
}

func (p *provider) on(address string) {
	p.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"issuer": p.url, "jwks_uri": p.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		p.mu.Lock()
		answer, keys := p.answer, p.keys
		p.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(object{"keys": keys})
	})
	ln, err := net.Listen("tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.srv = &httptest.Server{Listener: ln, Config: &http.Server{Handler: mux}}
	p.srv.Start()
}

// off takes the provider away; on brings it back at the same address.
func (p *provider) off() { p.srv.Close() }

func (p *provider) publish(signers ...signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	for _, s := range signers {
		p.keys = append(p.keys, s.public())
	}
}

func (p *provider) says(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// gate is an authenticator with a clock that a test turns.
type gate struct {
	*JWT
	t   *testing.T
	p   *provider
	log *bytes.Buffer
	now atomic.Int64
}

func newGate(t *testing.T, p *provider, change ...func(*JWTConfig)) *gate {
	t.Helper()
	g := &gate{t: t, p: p, log: &bytes.Buffer{}}
	cfg := JWTConfig{Issuer: p.url, Audience: audience, Algorithms: []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}}
	var mu sync.Mutex
	cfg.Logger = slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return g.log.Write(b)
	}), nil))
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if g.JWT, err = NewJWT(cfg); err != nil {
		t.Fatal(err)
	}
	g.now.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixMilli())
	g.keys.now = func() time.Time { return time.UnixMilli(g.now.Load()) }
	t.Cleanup(g.rest)
	return g
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func (g *gate) pass(d time.Duration) { g.now.Add(d.Milliseconds()) }

// rest waits until no fetch is under way.
func (g *gate) rest() {
	g.keys.mu.Lock()
	flight := g.keys.flight
	g.keys.mu.Unlock()
	if flight != nil {
		select {
		case <-flight:
		case <-time.After(patience):
			g.t.Error("a fetch does not end")
		}
	}
}

// good are claims of a good token.
func (g *gate) good() object {
	now := g.now.Load() / 1000
	return object{"iss": g.p.url, "aud": audience, "sub": "u-1", "exp": now + 3600, "iat": now, "nbf": now}
}

func request(header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func (g *gate) try(token string) (Identity, error) {
	g.t.Helper()
	return g.Authenticate(g.t.Context(), request("Authorization", "Bearer "+token))
}

// passes fails the test unless the token is taken.
func (g *gate) passes(token, when string) Identity {
	g.t.Helper()
	id, err := g.try(token)
	if err != nil {
		g.t.Fatalf("%s: %v", when, err)
	}
	return id
}

// refuses fails the test unless the token is refused like that.
func (g *gate) refuses(token string, kind fault.Kind, why, when string) {
	g.t.Helper()
	id, err := g.try(token)
	if fault.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), why) {
		g.t.Fatalf("%s: %+v, %v; want %s, %q", when, id, err, kind, why)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerOf(body []byte) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}
}
