package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/auth"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// access says who may use a route: everyone, or who has one of the roles. Operators have them all.
type access struct {
	open  bool
	roles []auth.Role
}

var (
	everyone  = access{open: true}
	readers   = access{roles: []auth.Role{auth.User, auth.Approver}}
	users     = access{roles: []auth.Role{auth.User}}
	approvers = access{roles: []auth.Role{auth.Approver}}
	operators = access{roles: []auth.Role{auth.Operator}}
)

// rights is who may use which route when there is authentication. A route without a row is for operators, and fails a
// test.
var rights = map[string]access{
	"GET /health":       everyone, // without its details
	"GET /livez":        everyone,
	"GET /readyz":       everyone,
	"GET /openapi.json": everyone,
	"GET /metrics":      operators,

	"POST /api/v1/chat":           users,
	"POST /api/v1/chat-multipart": users,
	"GET /api/v1/agents":          readers,
	"GET /api/v1/replicas":        operators,

	"GET /api/v1/turns":               readers,
	"GET /api/v1/turns/{id}":          readers,
	"GET /api/v1/turns/{id}/events":   readers,
	"POST /api/v1/turns/{id}/cancel":  users,
	"POST /api/v1/turns/{id}/approve": approvers,
	"POST /api/v1/turns/{id}/deny":    approvers,
	"POST /api/v1/turns/{id}/resolve": operators,
	"POST /api/v1/turns/{id}/retry":   operators,
	"POST /api/v1/turns/{id}/release": operators,
	"POST /api/v1/turns/{id}/discard": operators,

	"GET /api/v1/sessions":               readers,
	"GET /api/v1/sessions/{id}":          readers,
	"GET /api/v1/sessions/{id}/messages": readers,
	"GET /api/v1/sessions/{id}/events":   readers,
	"GET /api/v1/sessions/{id}/journal":  operators,
	"DELETE /api/v1/sessions/{id}":       users,
}

// rightsTo is the row of a route.
func rightsTo(route string) access {
	if a, ok := rights[route]; ok {
		return a
	}
	return operators
}

type identityKey struct{}

// identityOf is who sent a request; false without authentication.
func identityOf(ctx context.Context) (auth.Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(auth.Identity)
	return id, ok
}

// tenantOf is whose sessions a request is about: those of the caller's tenant, and of no other.
func tenantOf(ctx context.Context) string {
	id, _ := identityOf(ctx)
	return id.Tenant
}

// keyOf is the storage key of a session id in a request.
func keyOf(ctx context.Context, id string) session.Key {
	return session.Key{Tenant: tenantOf(ctx), ID: id}
}

// refOf names a turn for the kernel, and who speaks about it.
func refOf(ctx context.Context, turn string) agentkernel.TurnRef {
	id, ok := identityOf(ctx)
	ref := agentkernel.TurnRef{Tenant: id.Tenant, ID: turn, By: id.Subject}
	if ok {
		ref.Roles = append([]string{}, id.Roles...) // never nil, which would mean that everything is allowed
		for _, r := range auth.Roles() {
			if id.Has(r) && !slices.Contains(ref.Roles, string(r)) {
				ref.Roles = append(ref.Roles, string(r)) // what an operator has without saying
			}
		}
	}
	return ref
}

// admit hands a request to its route if its sender may use that.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, route string) {
	need := rightsTo(route)
	if s.cfg.Auth != nil && !need.open {
		id, err := s.identify(r.Context(), r)
		if err == nil && !id.Has(need.roles...) {
			err = forbidden(id, need)
		}
		if err != nil {
			p := s.problemOf(r.Context(), err)
			if p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden {
				w.Header().Set("WWW-Authenticate", challenge(r, p))
			}
			s.refuse(w, r, p)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
	}
	if !opensStream(r, route) {
		s.mux.ServeHTTP(w, r)
		return
	}
	defer s.streams.Add(-1)
	if s.streams.Add(1) > int64(s.cfg.MaxStreams) { // before the turn starts, which could not be taken back
		s.refuse(w, r, s.problemOf(r.Context(), fault.New(fault.Limited, "", "%d streams are open here, and no more are allowed", s.cfg.MaxStreams).
			WithAfter(time.Second).WithTry("try again, here or at another replica; or ask without a stream")))
		return
	}
	s.mux.ServeHTTP(w, r)
}

// identify finds out who sent a request, and notes it.
func (s *Server) identify(ctx context.Context, r *http.Request) (auth.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AcceptTimeout)
	defer cancel()
	id, err := s.cfg.Auth.Authenticate(ctx, r)
	if err != nil {
		return auth.Identity{}, err
	}
	if id.Tenant != "" {
		if err := session.CheckID("the caller's tenant", id.Tenant); err != nil {
			return auth.Identity{}, fault.New(fault.Forbidden, "", "%s", err.Error())
		}
	}
	t := traceOf(ctx)
	t.tenant, t.subject = id.Tenant, id.Subject
	return id, nil
}

func forbidden(id auth.Identity, need access) error {
	var names []string
	for _, r := range append(slices.Clone(need.roles), auth.Operator) {
		if !slices.Contains(names, string(r)) {
			names = append(names, string(r))
		}
	}
	var has []string
	for _, r := range auth.Roles() {
		if slices.Contains(id.Roles, string(r)) {
			has = append(has, string(r))
		}
	}
	if len(has) == 0 {
		has = []string{"none of the roles"}
	}
	return fault.New(fault.Forbidden, "", "this needs the role %s; the caller has %s", strings.Join(names, " or "), strings.Join(has, " and ")).
		WithTry("use a credential that has the role")
}

// challenge is what RFC 6750 wants to be said with a 401 or 403.
func challenge(r *http.Request, p *Problem) string {
	const realm = `Bearer realm="agentkernel"`
	code := "invalid_token"
	switch {
	case p.Status == http.StatusForbidden:
		code = "insufficient_scope"
	case r.Header["Authorization"] == nil && r.Header["X-Api-Key"] == nil:
		return realm // it may not know that it needs one
	}
	why := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, p.Detail)
	return fmt.Sprintf(`%s, error="%s", error_description="%s"`, realm, code, why)
}

// mayLookBehind reports whether the sender of a request to an open route may see more than everyone.
func (s *Server) mayLookBehind(ctx context.Context, r *http.Request) bool {
	if s.cfg.Auth == nil {
		return true
	}
	id, err := s.identify(ctx, r)
	return err == nil && id.Has(auth.Operator)
}

// schemes describes how a caller proves who it is.
func schemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "An API key, which begins with ak_, or a JSON Web Token, as the server is configured"},
		"key":    {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "An API key"},
	}
}

// security describes what a route needs; nil without authentication. The roles stand where OpenAPI 3.1 has room for them.
func (s *Server) security(route string) []map[string][]string {
	need := rightsTo(route)
	if s.cfg.Auth == nil || need.open {
		return nil
	}
	roles := []string{}
	for _, r := range need.roles {
		roles = append(roles, string(r))
	}
	return []map[string][]string{{"bearer": roles}, {"key": roles}}
}

// opensStream reports whether a request to a route asks for a stream.
func opensStream(r *http.Request, route string) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(route, "/events") || r.Method == http.MethodPost && wantsStream(r.Header.Values("Accept"))
}
