package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/agentkernel/agentkernel/fault"
)

// JWTConfig is what is pinned about tokens. Issuer and Audience are required; a zero value elsewhere has the default
// that its comment names.
type JWTConfig struct {
	Issuer     string   // the exact iss of every token; an https URL, or http on loopback
	Audience   string   // must be among every token's aud
	Algorithms []string // allowed ones, RS256 and ES256; never none or one with a shared secret
	JWKSURL    string   // where the provider's keys are; empty: as the issuer's /.well-known/openid-configuration says

	TenantClaim string // the claim that names the tenant; a token without it is refused. Empty: all are of the tenant ""
	RolesClaim  string // the claim with the roles, a list or a text with spaces. Empty: everybody is a user

	Leeway   time.Duration // by which clocks may differ, 30s, at most 2m
	Refresh  time.Duration // age from which keys are fetched again in the background, 10m
	MaxStale time.Duration // age from which keys count no longer, if the provider gives no new ones, 24h
	Timeout  time.Duration // for fetching keys, 5s

	Logger *slog.Logger // is told when the provider fails and recovers; nil discards
}

// JWT authenticates by JSON Web Token: "Authorization: Bearer eyJ…".
type JWT struct {
	cfg  JWTConfig
	keys *keySet
}

// NewJWT makes an authenticator of tokens. It asks the provider nothing yet, so it works while that is down. All that is
// wrong with the configuration is reported at once, as one error of kind Config.
func NewJWT(cfg JWTConfig) (*JWT, error) {
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"RS256", "ES256"}
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	for d, value := range map[*time.Duration]time.Duration{&cfg.Leeway: 30 * time.Second, &cfg.Refresh: 10 * time.Minute, &cfg.MaxStale: 24 * time.Hour, &cfg.Timeout: 5 * time.Second} {
		if *d <= 0 {
			*d = value
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := cfg.check(); err != nil {
		return nil, fault.New(fault.Config, "", "tokens cannot be checked: %w", err)
	}
	return &JWT{cfg: cfg, keys: newKeySet(cfg)}, nil
}

func (c JWTConfig) check() error {
	var wrong []error
	if err := checkURL(c.Issuer); err != nil {
		wrong = append(wrong, fmt.Errorf("the issuer %w", err))
	}
	if c.Audience == "" {
		wrong = append(wrong, errors.New("the audience is missing"))
	}
	for _, alg := range c.Algorithms {
		if algorithms[alg] == "" {
			wrong = append(wrong, fmt.Errorf("the algorithm %.20q cannot be allowed, only RS, PS and ES with 256, 384 or 512, and EdDSA", alg))
		}
	}
	if c.JWKSURL != "" {
		if err := checkURL(c.JWKSURL); err != nil {
			wrong = append(wrong, fmt.Errorf("the key set's address %w", err))
		}
	}
	if c.Leeway > 2*time.Minute {
		wrong = append(wrong, fmt.Errorf("the leeway is %s, more than 2m", c.Leeway))
	}
	if c.MaxStale < c.Refresh {
		wrong = append(wrong, fmt.Errorf("keys would count for %s only, and be fetched again after %s", c.MaxStale, c.Refresh))
	}
	return errors.Join(wrong...)
}

// checkURL refuses addresses over which keys could be exchanged on the way.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("must be an https URL without a user and a fragment")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !ip.IsLoopback()) {
		return errors.New("must be an https URL; http is for loopback only")
	}
	return nil
}

// Run keeps the provider's keys fresh until ctx ends, so that no request waits for them and an outage finds recent ones.
// Without it they are fetched when requests need them.
func (j *JWT) Run(ctx context.Context) {
	for {
		j.keys.mu.Lock()
		flight := j.keys.fetch()
		j.keys.mu.Unlock()
		if flight != nil {
			select {
			case <-flight:
			case <-ctx.Done():
				return
			}
		}
		j.keys.mu.Lock()
		wait := j.cfg.Refresh
		if j.keys.failure != nil {
			wait = min(wait, 6*pause)
		}
		j.keys.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// Authenticate checks the token that a request carries.
func (j *JWT) Authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	token, err := bearer(r)
	if err != nil {
		return Identity{}, err
	}
	if token == "" {
		return Identity{}, unauthenticated("a token is needed").WithTry("send the header Authorization: Bearer, a space, and a token of %s", j.cfg.Issuer)
	}
	h, err := parseHeader(token)
	if err != nil {
		return Identity{}, err
	}
	if !slices.Contains(j.cfg.Algorithms, h.alg) {
		return Identity{}, unauthenticated("the token is signed with an algorithm that is not allowed here").WithTry("have it signed with %s", strings.Join(j.cfg.Algorithms, ", "))
	}
	keys, err := j.keys.find(ctx, h.kid)
	if err != nil {
		return Identity{}, err
	}
	set := &signature{alg: h.alg, keys: keys}
	verifier := oidc.NewVerifier(j.cfg.Issuer, set, &oidc.Config{
		ClientID: j.cfg.Audience, SupportedSigningAlgs: j.cfg.Algorithms,
		Now: func() time.Time { return j.keys.now().Add(-j.cfg.Leeway) },
	})
	_, refused := verifier.Verify(ctx, token)
	if set.payload == nil {
		return Identity{}, unauthenticated("the token's signature is wrong")
	}
	// The library's own words repeat claims, so what it refuses is said again in ours. Both must agree to the token.
	c, err := parseClaims(set.payload)
	if err != nil {
		return Identity{}, err
	}
	if err := j.check(c); err != nil {
		return Identity{}, err
	}
	if refused != nil {
		return Identity{}, unauthenticated("the token's claims are not as they have to be")
	}
	return j.identity(c)
}

// signature is the one key that a token names, as go-oidc wants it.
type signature struct {
	alg     string
	keys    []key
	payload []byte // of a token whose signature was right
}

// VerifySignature checks a token's signature and gives what was signed.
func (s *signature) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	for _, k := range s.keys {
		if !k.fits(s.alg) {
			continue
		}
		one := &oidc.StaticKeySet{}
		one.PublicKeys = append(one.PublicKeys, k.public)
		if payload, err := one.VerifySignature(ctx, token); err == nil {
			s.payload = payload
			return payload, nil
		}
	}
	return nil, errors.New("no key fits")
}

type header struct{ alg, kid string }

// parseHeader reads which algorithm and key a token names. Nothing of it is trusted.
func parseHeader(token string) (h header, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return h, unauthenticated("the credential is not a signed token of three parts").WithTry("send a JSON Web Token; an API key is not taken here")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return h, unauthenticated("the token's header is not base64url")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return h, unauthenticated("the token's header is not a JSON object")
	}
	if _, ok := fields["crit"]; ok {
		return h, unauthenticated("the token demands an extension that is not known here")
	}
	h.alg, _ = text(fields["alg"])
	h.kid, _ = text(fields["kid"])
	switch {
	case h.alg == "":
		return h, unauthenticated("the token does not say how it is signed")
	case h.kid == "" || len(h.kid) > maxKeyID:
		return h, unauthenticated("the token does not name the key that it is signed with").WithTry("have the provider set kid in the token's header")
	}
	return h, nil
}
