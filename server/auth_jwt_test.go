package server

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/fault"
)

func TestTokensOfAProviderOpenASiteAlsoWhenItGoesAway(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	issuer := "http://" + address
	ln.Close() // at first it is down
	gate, err := auth.NewJWT(auth.JWTConfig{Issuer: issuer, Audience: "agents", TenantClaim: "tenant", RolesClaim: "roles"})
	if err != nil {
		t.Fatal(err)
	}
	token := func(claims string) []string {
		all := fmt.Sprintf(`{"iss":%q,"aud":"agents","sub":"u-1","exp":%d,%s}`, issuer, time.Now().Add(time.Hour).Unix(), claims)
		return []string{"Authorization", "Bearer " + oidctest.SignIDToken(private, "k", "RS256", all)}
	}
	good := token(`"tenant":"acme","roles":["user"]`)

	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.Auth = gate })
	r := x.chat(`{"prompt":"hello","session_id":"talk"}`, good...)
	if p := problem(t, r, 503, fault.Unavailable); p.RetryAfterMS < 1000 || r.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s", r.body)
	}
	problem(t, x.do("GET", "/api/v1/agents", ""), 401, fault.Unauthenticated) // who sends none needs no provider

	if ln, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	provider := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: crypto.PublicKey(private.Public()), KeyID: "k", Algorithm: "RS256"}}, Algorithms: []string{"RS256"}}
	provider.SetIssuer(issuer)
	up := &httptest.Server{Listener: ln, Config: &http.Server{Handler: provider}}
	up.Start()
	defer up.Close()
	if gate, err = auth.NewJWT(auth.JWTConfig{Issuer: issuer, Audience: "agents", TenantClaim: "tenant", RolesClaim: "roles"}); err != nil {
		t.Fatal(err)
	}
	x.s.cfg.Auth = gate // which has not just been refused an answer
	first := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"talk"}`, good...), 200)

	up.Close()
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"talk"}`, good...), 200)
	problem(t, x.do("GET", "/api/v1/turns/"+first.Turn, "", token(`"tenant":"globex","roles":["operator"]`)...), 410, fault.LostByStore)
	problem(t, x.do("GET", "/api/v1/sessions/talk/journal", "", good...), 403, fault.Forbidden)
	problem(t, x.do("GET", "/api/v1/agents", "", token(`"roles":["operator"]`)...), 403, fault.Forbidden)
	problem(t, x.do("GET", "/api/v1/agents", "", token(`"tenant":"acme","roles":[]`)...), 403, fault.Forbidden)
	expired := x.do("GET", "/api/v1/agents", "", token(`"tenant":"acme","exp":1`)...)
	if p := problem(t, expired, 401, fault.Unauthenticated); !strings.Contains(p.Detail, "expired") || !strings.Contains(expired.Header.Get("WWW-Authenticate"), `error="invalid_token", error_description="the token expired`) {
		t.Errorf("%v %s", expired.Header, expired.body)
	}
	for _, sent := range append(good, token(`"tenant":"globex","roles":["operator"]`)...) {
		for part := range strings.SplitSeq(sent, ".") {
			if len(part) > 20 && strings.Contains(x.log.String(), part) {
				t.Error("a part of a token is in the log")
			}
		}
	}
}

func TestAKeyThatIsReplacedCountsAtOnce(t *testing.T) {
	old, oldHash := auth.NewKey()
	fresh, freshHash := auth.NewKey()
	gate, err := auth.NewKeys([]auth.Key{{ID: "a", Hash: oldHash}})
	if err != nil {
		t.Fatal(err)
	}
	x := newSite(t, func(_ *agentkernel.Config, c *Config) { c.Auth = gate })
	as[AgentList](t, x.do("GET", "/api/v1/agents", "", "Authorization", "Bearer "+old), 200)
	if err := gate.Replace([]auth.Key{{ID: "b", Hash: freshHash}}); err != nil {
		t.Fatal(err)
	}
	problem(t, x.do("GET", "/api/v1/agents", "", "Authorization", "Bearer "+old), 401, fault.Unauthenticated)
	as[AgentList](t, x.do("GET", "/api/v1/agents", "", "Authorization", "Bearer "+fresh), 200)
}
