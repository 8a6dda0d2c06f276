package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
)

const (
	pause   = 5 * time.Second // between the end of a fetch and the next, whatever its outcome
	maxBody = 1 << 20         // bytes of an answer of the provider
)

// keySet is the cache of a provider's keys.
type keySet struct {
	issuer   string
	url      string // empty: ask the issuer
	client   *http.Client
	timeout  time.Duration
	refresh  time.Duration
	maxStale time.Duration
	log      *slog.Logger
	now      func() time.Time

	mu      sync.Mutex
	keys    map[string][]key // of the last good answer; nil before the first
	at      time.Time        // of the last good answer
	tried   time.Time        // end of the last fetch
	failure error            // of the last fetch
	flight  chan struct{}    // closed when the fetch that is under way has ended; nil when there is none
}

func newKeySet(c JWTConfig) *keySet {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		DisableKeepAlives: true, // it is one request in minutes
	}
	return &keySet{
		issuer: c.Issuer, url: c.JWKSURL, timeout: c.Timeout, refresh: c.Refresh, maxStale: c.MaxStale, log: c.Logger, now: time.Now,
		client: &http.Client{
			Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it redirects, which is not followed") // the address is pinned
			},
		},
	}
}

// find gives the keys of an id. It waits for a fetch only where there is no answer without one.
func (s *keySet) find(ctx context.Context, id string) ([]key, error) {
	s.mu.Lock()
	for round := 0; ; round++ {
		now := s.now()
		found, usable := s.keys[id], s.keys != nil && now.Sub(s.at) <= s.maxStale
		if usable && len(found) > 0 {
			if now.Sub(s.at) > s.refresh {
				s.fetch()
			}
			s.mu.Unlock()
			return found, nil
		}
		flight := s.fetch()
		if round > 0 || flight == nil { // it was asked for just now, and this is what came of it
			defer s.mu.Unlock()
			return nil, s.missing(usable, now)
		}
		s.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "", "the identity provider's keys did not come in time").WithAfter(pause)
		}
		s.mu.Lock()
	}
}

// missing says why there is no key.
func (s *keySet) missing(usable bool, now time.Time) error {
	if usable && s.failure == nil {
		return unauthenticated("the token is signed with a key that the identity provider does not list").
			WithTry("get a new token; if the key is a new one, try again in %d s", int(pause/time.Second))
	}
	return fault.New(fault.Unavailable, "", "the token cannot be checked now: the identity provider does not give its keys").
		WithAfter(max(pause-now.Sub(s.tried), time.Second))
}

// fetch starts to fetch the keys unless that is under way or was done just now; nil says that it was. s.mu is held.
func (s *keySet) fetch() chan struct{} {
	if s.flight != nil {
		return s.flight
	}
	if !s.tried.IsZero() && s.now().Sub(s.tried) < pause {
		return nil
	}
	flight := make(chan struct{})
	s.flight = flight
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.timeout) // not a request's: others wait for it too
		defer cancel()
		keys, err := s.load(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		defer close(flight)
		s.done(keys, err)
	}()
	return flight
}

// done notes what a fetch brought. What is good stays when it brought nothing. s.mu is held.
func (s *keySet) done(keys map[string][]key, err error) {
	before := s.failure
	s.flight, s.failure, s.tried = nil, err, s.now()
	switch {
	case err != nil && before == nil:
		s.log.Warn("the identity provider does not give its keys; the last ones serve while they are not too old", "issuer", s.issuer, "have_keys", s.keys != nil, "error", err)
	case err == nil && before != nil:
		s.log.Info("the identity provider gives its keys again", "issuer", s.issuer, "keys", len(keys))
	}
	if err == nil {
		s.keys, s.at = keys, s.tried
	}
}

// load asks the provider for its keys.
func (s *keySet) load(ctx context.Context) (map[string][]key, error) {
	address := s.url
	if address == "" {
		body, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		var about struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(body, &about); err != nil {
			return nil, fmt.Errorf("the provider's description is not JSON: %w", err)
		}
		if about.Issuer != s.issuer {
			return nil, errors.New("the provider's description is of another issuer")
		}
		if err := checkURL(about.Keys); err != nil {
			return nil, fmt.Errorf("the provider's jwks_uri %w", err)
		}
		address = about.Keys
	}
	body, err := s.get(ctx, address)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

func (s *keySet) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, cause(err)
	}
	req.Header.Set("Accept", "application/json")
	where := req.URL.Scheme + "://" + req.URL.Host + req.URL.Path // without the query, which may hold a secret
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", where, cause(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d", where, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("GET %s: %w", where, err)
	case len(body) > maxBody:
		return nil, fmt.Errorf("GET %s: the answer has more than %d bytes", where, maxBody)
	}
	return body, nil
}

// cause is an error of a request without its address.
func cause(err error) error {
	var address *url.Error
	if errors.As(err, &address) {
		return address.Err
	}
	return err
}
