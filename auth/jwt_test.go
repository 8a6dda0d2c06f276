package auth

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

func signers() []signer {
	return []signer{
		{"rsa", "RS256", rsaPair},
		{"rsa", "PS256", rsaPair},
		{"p256", "ES256", p256Pair},
		{"p384", "ES384", p384Pair},
		{"p521", "ES512", p521Pair},
		{"ed", "EdDSA", edPair},
	}
}

func TestAGoodTokenIsTakenWithEveryAlgorithm(t *testing.T) {
	p := newProvider(t, signers()...)
	g := newGate(t, p)
	for _, s := range signers() {
		id := g.passes(s.token(g.good()), s.alg)
		if id.Subject != "u-1" || id.Tenant != "" || !slices.Equal(id.Roles, []string{"user"}) {
			t.Errorf("%s: %+v", s.alg, id)
		}
	}
	if n := p.hits.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestABadTokenIsRefusedWithItsReason(t *testing.T) {
	es := signer{"p256", "ES256", p256Pair}
	p := newProvider(t, append(signers()[1:], es, signer{"weak", "RS256", rsaPair})...)
	g := newGate(t, p, func(c *JWTConfig) { c.Algorithms = []string{"ES256", "ES384"} })
	now := g.now.Load() / 1000
	but := func(name string, value any) string {
		c := g.good()
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return es.token(c)
	}
	header := func(change object) string {
		h := object{"alg": "ES256", "kid": "p256"}
		maps.Copy(h, change)
		return es.sign(h, g.good())
	}
	good := es.token(g.good())
	g.passes(good, "the token that the others are made of")
	parts := strings.Split(good, ".")
	forged := g.good()
	forged["sub"] = "u-2"
	for name, c := range map[string]struct{ token, why string }{
		"another content":          {parts[0] + "." + b64(must(json.Marshal(forged))) + "." + parts[2], "signature is wrong"},
		"another signature":        {parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), "signature is wrong"},
		"no signature":             {parts[0] + "." + parts[1] + ".", "signature is wrong"},
		"another key":              {signer{"p256", "ES256", otherPair}.token(g.good()), "signature is wrong"},
		"the key of another curve": {header(object{"kid": "p384"}), "signature is wrong"},
		"alg of another curve":     {header(object{"alg": "ES384"}), "signature is wrong"},
		"alg none":                 {b64([]byte(`{"alg":"none","kid":"p256"}`)) + "." + parts[1] + ".", "not allowed"},
		"alg none in capitals":     {b64([]byte(`{"alg":"NONE","kid":"p256"}`)) + "." + parts[1] + ".", "not allowed"},
		"a shared secret":          {header(object{"alg": "HS256"}), "not allowed"},
		"an algorithm not pinned":  {signer{"rsa", "RS256", rsaPair}.token(g.good()), "not allowed"},
		"two algorithms":           {b64([]byte(`{"alg":"ES256","ALG":"none","Alg":"HS256","kid":"p256"}`)) + "." + parts[1] + "." + parts[2], "signature is wrong"},
		"alg is a number":          {header(object{"alg": 256}), "how it is signed"},
		"no alg":                   {header(object{"alg": ""}), "how it is signed"},
		"no kid":                   {header(object{"kid": ""}), "does not name the key"},
		"an unknown kid":           {header(object{"kid": "p-unknown"}), "does not list"},
		"a huge kid":               {header(object{"kid": strings.Repeat("k", maxKeyID+1)}), "does not name the key"},
		"an extension":             {header(object{"crit": []string{"b64"}, "b64": false}), "extension"},
		"its own key":              {signer{"p256", "ES256", otherPair}.sign(object{"alg": "ES256", "kid": "p256", "jwk": signer{"p256", "ES256", otherPair}.public()}, g.good()), "signature is wrong"},
		"another issuer":           {but("iss", p.url+"/"), "another issuer"},
		"no issuer":                {but("iss", nil), "another issuer"},
		"another audience":         {but("aud", "agents2"), "another audience"},
		"other audiences":          {but("aud", []string{"a", "b"}), "another audience"},
		"no audience":              {but("aud", nil), "another audience"},
		"expired":                  {but("exp", now-31), "expired 31s ago"},
		"expired long ago":         {but("exp", -1), "expired"},
		"no expiry":                {but("exp", nil), "when it expires"},
		"a null expiry":            {but("exp", json.RawMessage("null")), "not a time"},
		"a text expiry":            {but("exp", "tomorrow"), "not a time"},
		"an endless expiry":        {but("exp", 1e300), "not a time"},
		"not yet":                  {but("nbf", now+31), "in the future"},
		"from the future":          {but("iat", now+31), "in the future"},
		"nbf is a text":            {but("nbf", "now"), "nbf is not a time"},
		"no subject":               {but("sub", nil), "sub must have"},
		"a subject with lines":     {but("sub", "a\nb"), "sub must have"},
		"a huge subject":           {but("sub", strings.Repeat("s", 300)), "sub must have"},
		"content is a list":        {es.sign(object{"alg": "ES256", "kid": "p256"}, []int{1}), "not a JSON object"},
		"content is null":          {es.sign(object{"alg": "ES256", "kid": "p256"}, nil), "not a JSON object"},
		"two parts":                {parts[0] + "." + parts[1], "three parts"},
		"four parts":               {good + ".x", "three parts"},
		"no header":                {"." + parts[1] + "." + parts[2], "three parts"},
		"not base64":               {"=." + parts[1] + "." + parts[2], "not base64url"},
		"header not JSON":          {b64([]byte("{")) + "." + parts[1] + "." + parts[2], "not a JSON object"},
		"an API key":               {"ak_abcdefgh", "three parts"},
		"huge":                     {good + strings.Repeat("A", maxToken), "at most 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			g.refuses(c.token, fault.Unauthenticated, c.why, name)
			_, err := g.try(c.token)
			text := fmt.Sprint(err, fault.Try(err), g.log.String())
			for _, part := range strings.Split(c.token, ".") {
				if len(part) > 10 && strings.Contains(text, part[:10]) {
					t.Errorf("the text has what was sent: %s", text)
				}
			}
		})
	}
	g.refuses("", fault.Unauthenticated, "no credential", "nothing after Bearer")
	if _, err := g.Authenticate(t.Context(), request()); fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), "a token is needed") {
		t.Error(err)
	}
}

func TestAKeyIsUsedOnlyWithTheAlgorithmThatItsProviderSays(t *testing.T) {
	p := newProvider(t, one)
	pinned := signer{"rsa", "RS256", rsaPair}
	public := pinned.public()
	public["alg"] = "RS256"
	p.mu.Lock()
	p.keys = append(p.keys, public)
	p.mu.Unlock()
	g := newGate(t, p)
	g.passes(pinned.token(g.good()), "as the provider says")
	g.refuses(signer{"rsa", "PS256", rsaPair}.token(g.good()), fault.Unauthenticated, "signature is wrong", "in another way")
}

func TestClocksMayDifferByTheLeewayOnly(t *testing.T) {
	es := signer{"p256", "ES256", p256Pair}
	g := newGate(t, newProvider(t, es), func(c *JWTConfig) { c.Leeway = time.Minute })
	now := g.now.Load() / 1000
	for _, c := range []struct {
		claim string
		at    float64
		want  bool
	}{
		{"exp", float64(now - 60), true},
		{"exp", float64(now - 61), false},
		{"exp", float64(now) + 0.5, true},
		{"nbf", float64(now + 60), true},
		{"nbf", float64(now + 61), false},
		{"iat", float64(now + 60), true},
		{"iat", float64(now + 61), false},
	} {
		claims := g.good()
		claims[c.claim] = c.at
		if _, err := g.try(es.token(claims)); (err == nil) != c.want {
			t.Errorf("%s %f: %v", c.claim, c.at-float64(now), err)
		}
	}
}

func TestTenantAndRolesComeFromTheNamedClaims(t *testing.T) {
	es := signer{"p256", "ES256", p256Pair}
	p := newProvider(t, es)
	for name, c := range map[string]struct {
		tenantClaim, rolesClaim string
		claims                  object
		tenant                  string
		roles                   []string
		forbidden               bool
	}{
		"none named":           {"", "", object{"tenant": "acme", "roles": []string{"operator"}}, "", []string{"user"}, false},
		"a list":               {"tenant", "roles", object{"tenant": "acme", "roles": []string{"operator", "offline_access"}}, "acme", []string{"operator", "offline_access"}, false},
		"a text":               {"", "scope", object{"scope": "openid approver user"}, "", []string{"openid", "approver", "user"}, false},
		"inside":               {"org.id", "realm_access.roles", object{"org": object{"id": "acme"}, "realm_access": object{"roles": []string{"user"}}}, "acme", []string{"user"}, false},
		"a name with dots":     {"https://acme.example/tenant", "", object{"https://acme.example/tenant": "acme"}, "acme", []string{"user"}, false},
		"no roles":             {"", "roles", object{}, "", nil, false},
		"foreign roles":        {"", "roles", object{"roles": []string{"finance", "a role", "", "finance"}}, "", []string{"finance"}, false},
		"roles are no texts":   {"", "roles", object{"roles": []any{"user", 1}}, "", nil, false},
		"roles are an object":  {"", "roles", object{"roles": object{"operator": true}}, "", nil, false},
		"no tenant":            {"tenant", "", object{}, "", nil, true},
		"an empty tenant":      {"tenant", "", object{"tenant": ""}, "", nil, true},
		"a tenant with a path": {"tenant", "", object{"tenant": "acme/other"}, "", nil, true},
		"a dot":                {"tenant", "", object{"tenant": ".."}, "", nil, true},
		"two tenants":          {"tenant", "", object{"tenant": []string{"acme", "other"}}, "", nil, true},
		"a number":             {"tenant", "", object{"tenant": 7}, "", nil, true},
		"in another case":      {"tenant", "", object{"Tenant": "acme"}, "", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, p, func(cfg *JWTConfig) { cfg.TenantClaim, cfg.RolesClaim = c.tenantClaim, c.rolesClaim })
			claims := g.good()
			maps.Copy(claims, c.claims)
			token := es.token(claims)
			if c.forbidden {
				g.refuses(token, fault.Forbidden, "does not name a tenant", name)
				return
			}
			if id := g.passes(token, name); id.Tenant != c.tenant || !slices.Equal(id.Roles, c.roles) {
				t.Errorf("%+v", id)
			}
		})
	}
}

func TestWhatIsPinnedIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		cfg JWTConfig
		why string
	}{
		"nothing":             {JWTConfig{}, "the issuer must be an https URL"},
		"no audience":         {JWTConfig{Issuer: "https://id.example"}, "the audience is missing"},
		"none":                {JWTConfig{Issuer: "https://id.example", Audience: "a", Algorithms: []string{"none"}}, `"none" cannot be allowed`},
		"a shared secret":     {JWTConfig{Issuer: "https://id.example", Audience: "a", Algorithms: []string{"RS256", "HS256"}}, `"HS256" cannot be allowed`},
		"in the clear":        {JWTConfig{Issuer: "http://id.example", Audience: "a"}, "http is for loopback only"},
		"keys in the clear":   {JWTConfig{Issuer: "https://id.example", Audience: "a", JWKSURL: "http://id.example/keys"}, "the key set's address"},
		"with a password":     {JWTConfig{Issuer: "https://u:secret-7@id.example", Audience: "a"}, "without a user"},
		"a loose leeway":      {JWTConfig{Issuer: "https://id.example", Audience: "a", Leeway: time.Hour}, "the leeway is"},
		"stale before fresh":  {JWTConfig{Issuer: "https://id.example", Audience: "a", Refresh: time.Hour, MaxStale: time.Minute}, "keys would count"},
		"good":                {JWTConfig{Issuer: "https://id.example", Audience: "a"}, ""},
		"good on loopback":    {JWTConfig{Issuer: "http://localhost:1/x", Audience: "a", JWKSURL: "http://[::1]:1/y"}, ""},
		"everything together": {JWTConfig{Issuer: "x", Algorithms: []string{"HS256"}}, "the issuer"},
	} {
		_, err := NewJWT(c.cfg)
		if c.why == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "secret-7") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
