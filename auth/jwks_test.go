package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

var (
	one = signer{"one", "ES256", p256Pair}
	two = signer{"two", "ES256", otherPair}
)

func TestAnOutageOfTheProviderIsNotNoticedWhileKeysAreRecent(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p)
	g.passes(one.token(g.good()), "at first")
	address := p.srv.Listener.Addr().String()
	p.off()
	for _, d := range []time.Duration{time.Second, 10 * time.Minute, 12 * time.Hour, 11 * time.Hour} {
		g.pass(d)
		g.passes(one.token(g.good()), d.String())
		g.rest() // the refresh, which fails
	}
	if n := strings.Count(g.log.String(), "does not give its keys"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, g.log)
	}
	g.refuses(two.token(g.good()), fault.Unavailable, "cannot be checked now", "an unknown key in an outage")
	g.pass(time.Hour)
	g.refuses(one.token(g.good()), fault.Unavailable, "cannot be checked now", "keys of yesterday")
	if _, err := g.try(one.token(g.good())); !fault.KindOf(err).Trait().Retryable || fault.After(err) < time.Second || fault.After(err) > pause {
		t.Errorf("%v, after %s", err, fault.After(err))
	}
	p.on(address)
	g.refuses(one.token(g.good()), fault.Unavailable, "", "before the pause is over")
	g.pass(pause)
	g.passes(one.token(g.good()), "when the provider is back")
	if !strings.Contains(g.log.String(), "gives its keys again") {
		t.Errorf("%s", g.log)
	}
}

func TestItStartsWhileTheProviderIsDown(t *testing.T) {
	p := newProvider(t, one)
	address := p.srv.Listener.Addr().String()
	p.off()
	for name, change := range map[string]func(*JWTConfig){
		"with discovery": func(*JWTConfig) {},
		"with a key set": func(c *JWTConfig) { c.JWKSURL = p.url + "/keys" },
	} {
		g := newGate(t, p, change)
		for range 3 {
			g.refuses(one.token(g.good()), fault.Unavailable, "cannot be checked now", name)
		}
		p.on(address)
		g.pass(pause)
		g.passes(one.token(g.good()), name)
		p.off()
	}
	p.on(address) // for the clean-up
}

func TestRotatedKeysAreFetchedAndWithdrawnOnesCountNoLonger(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p)
	g.passes(one.token(g.good()), "at first")
	p.publish(one, two)
	g.pass(pause)
	g.passes(two.token(g.good()), "signed with a new key")
	g.passes(one.token(g.good()), "signed with the old key")
	p.publish(two)
	g.pass(11 * time.Minute)
	g.passes(one.token(g.good()), "before the refresh, which is in the background")
	g.rest()
	g.refuses(one.token(g.good()), fault.Unauthenticated, "does not list", "after the old key was withdrawn")
	g.passes(two.token(g.good()), "the new key")
	if n := p.hits.Load(); n != 3 {
		t.Errorf("%d fetches", n)
	}
}

func TestMadeUpKeyIdsCostTheProviderLittle(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p)
	g.passes(one.token(g.good()), "at first")
	g.pass(pause)
	for round := range 3 {
		var callers sync.WaitGroup
		for i := range 20 {
			callers.Go(func() {
				g.refuses(signer{fmt.Sprint("made-up-", round, i), "ES256", p256Pair}.token(g.good()), fault.Unauthenticated, "does not list", "a made-up key")
			})
		}
		callers.Wait()
		if n := p.hits.Load(); n != int64(round+2) {
			t.Errorf("%d fetches after round %d", n, round)
		}
		g.pass(pause)
	}
}

func TestNonsenseDoesNotReplaceGoodKeys(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p, func(c *JWTConfig) { c.JWKSURL = p.url + "/keys"; c.MaxStale = 1000 * time.Hour })
	g.passes(one.token(g.good()), "at first")
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	encrypting, secret, unnamed := one.public(), one.public(), one.public()
	weak := object{"kty": "RSA", "kid": "one", "n": b64(make([]byte, 128)), "e": "AQAB"}
	encrypting["use"] = "enc"
	maps.Copy(secret, object{"kty": "oct", "k": "c2VjcmV0"})
	delete(unnamed, "kid")
	offCurve := one.public()
	offCurve["x"] = offCurve["y"]
	signOnly := one.public()
	signOnly["key_ops"] = []string{"sign"}
	otherAlg := one.public()
	otherAlg["alg"] = "ES384"
	for name, answer := range map[string]http.HandlerFunc{
		"not JSON":     text("<html>"),
		"no keys":      text(`{"keys":[]}`),
		"null":         text(`null`),
		"another sort": text(string(must(json.Marshal(object{"keys": []any{weak, encrypting, secret, unnamed, offCurve, signOnly, otherAlg, 7, "x", nil}})))),
		"too many":     text(`{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`),
		"an error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/.well-known/openid-configuration", http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxBody+1)) },
		"cut":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			text(`{"keys":[`)(w, nil)
		},
	} {
		p.says(answer)
		before := p.hits.Load()
		g.pass(11 * time.Minute)
		g.passes(one.token(g.good()), name)
		g.rest()
		g.passes(one.token(g.good()), name+", after the refresh")
		if p.hits.Load() == before || g.keys.failure == nil {
			t.Errorf("%s: it was not asked, or its answer was taken", name)
		}
		g.refuses(two.token(g.good()), fault.Unavailable, "cannot be checked now", name)
	}
	p.says(nil)
	p.publish(two)
	g.pass(11 * time.Minute)
	g.passes(two.token(g.good()), "a good answer again")
}

func TestASlowProviderHoldsOnlyThoseWhoNeedIt(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p, func(c *JWTConfig) { c.Timeout = patience })
	g.passes(one.token(g.good()), "at first")
	asked, answer := make(chan struct{}, 8), make(chan struct{})
	p.says(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_ = json.NewEncoder(w).Encode(object{"keys": []any{one.public(), two.public()}})
	})
	g.pass(pause)
	var callers sync.WaitGroup
	for range 5 {
		callers.Go(func() {
			if _, err := g.try(two.token(g.good())); err != nil {
				t.Error(err)
			}
		})
	}
	<-asked
	g.passes(one.token(g.good()), "a known key, meanwhile")
	g.pass(11 * time.Minute)
	g.passes(one.token(g.good()), "a known key in need of a refresh, meanwhile")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Authenticate(gone, request("Authorization", "Bearer "+two.token(g.good())))
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "did not come in time") {
		t.Errorf("a request that cannot wait: %v", err)
	}
	close(answer)
	callers.Wait()
	if n := p.hits.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestAProviderThatNeverAnswersIsGivenUp(t *testing.T) {
	p := newProvider(t, one)
	g := newGate(t, p, func(c *JWTConfig) { c.Timeout = 20 * time.Millisecond })
	over := make(chan struct{})
	p.says(func(http.ResponseWriter, *http.Request) { <-over })
	defer close(over)
	g.refuses(one.token(g.good()), fault.Unavailable, "cannot be checked now", "no answer")
}

func TestADescriptionOfAnotherIssuerIsRefused(t *testing.T) {
	p := newProvider(t, one)
	for name, c := range map[string]struct{ issuer, keys, why string }{
		"another issuer": {"https://other.example", p.url + "/keys", "of another issuer"},
		"in the clear":   {"", "http://id.example/keys", "jwks_uri must be an https URL"},
		"a file":         {"", "file:///etc/passwd", "jwks_uri must be an https URL"},
		"none":           {"", "", "jwks_uri must be an https URL"},
	} {
		site := newProvider(t, one)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			issuer := c.issuer
			if issuer == "" {
				issuer = site.url
			}
			_ = json.NewEncoder(w).Encode(object{"issuer": issuer, "jwks_uri": c.keys})
		})
		site.srv.Config.Handler = mux
		g := newGate(t, site)
		g.refuses(one.token(g.good()), fault.Unavailable, "cannot be checked now", name)
		if !strings.Contains(g.log.String(), c.why) {
			t.Errorf("%s: %s", name, g.log)
		}
	}
}

// TestRunKeepsTheKeysFresh runs on a clock of its own, with a provider inside the process.
func TestRunKeepsTheKeysFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := NewJWT(JWTConfig{Issuer: "https://id.example", Audience: audience, JWKSURL: "https://id.example/keys"})
		if err != nil {
			t.Fatal(err)
		}
		var hits, down int
		var mu sync.Mutex
		j.keys.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if hits++; down > 0 {
				down--
				return nil, context.DeadlineExceeded
			}
			return answerOf(must(json.Marshal(object{"keys": []any{one.public()}}))), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); j.Run(ctx) }()
		for _, c := range []struct {
			pass       time.Duration
			hits, down int
		}{{0, 1, 0}, {10 * time.Minute, 2, 0}, {10 * time.Minute, 3, 2}, {10 * time.Minute, 4, 0}, {30 * time.Second, 5, 0}, {30 * time.Second, 6, 0}, {9 * time.Minute, 6, 0}, {time.Minute, 7, 0}} {
			time.Sleep(c.pass) // virtual
			synctest.Wait()
			mu.Lock()
			if hits != c.hits {
				t.Errorf("%d fetches, want %d", hits, c.hits)
			}
			down = max(down, c.down)
			mu.Unlock()
		}
		cancel()
		<-ended
	})
}
