package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// Role is what a caller may do, in one word.
type Role string

// The roles; see the package's documentation for what each may do.
const (
	User     Role = "user"
	Approver Role = "approver"
	Operator Role = "operator"
)

// Roles lists every role.
func Roles() []Role { return []Role{User, Approver, Operator} }

// Identity is a caller who has proved who it is.
type Identity struct {
	Tenant  string   // whose sessions it sees; empty where there is only one tenant
	Subject string   // its name for the journal: a key's id, or a token's subject
	Roles   []string // what it has, in no order; others than the three count only for tools whose approval names them
}

// Has reports whether the identity has one of the roles, or is an operator, who has them all.
func (i Identity) Has(roles ...Role) bool {
	return slices.ContainsFunc(i.Roles, func(r string) bool {
		return Role(r) == Operator || slices.Contains(roles, Role(r))
	})
}

// Authenticator finds out who sends a request. Its errors are of kind Unauthenticated (no credential, or a bad one),
// Forbidden (a good one that gives no place here) or Unavailable (it cannot be checked now), and never contain the
// credential. It is used from many goroutines.
type Authenticator interface {
	Authenticate(ctx context.Context, r *http.Request) (Identity, error)
}

const (
	maxToken   = 16 << 10 // bytes of a token
	maxKey     = 256      // characters of an API key
	maxSubject = 256      // bytes of a subject
	maxTenant  = 128      // characters of a tenant or a role, as of every id
	maxRoles   = 100      // of an identity
)

// unauthenticated is a refused credential. The text must not contain what was sent.
func unauthenticated(format string, args ...any) *fault.Error {
	return fault.New(fault.Unauthenticated, "", format, args...)
}

// bearer is the token of the Authorization header; empty when there is no such header.
func bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", unauthenticated("the header Authorization is given %d times", len(values)).WithTry("send it once")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", unauthenticated("the header Authorization does not have the scheme Bearer").WithTry("send it as: Authorization: Bearer, a space, and the credential")
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case token == "":
		return "", unauthenticated("the header Authorization has no credential after Bearer")
	case len(token) > maxToken:
		return "", unauthenticated("the credential has %d bytes, at most %d are read", len(token), maxToken)
	case strings.ContainsFunc(token, func(c rune) bool { return !tokenChar(c) }):
		return "", unauthenticated("the credential has a character that none has").WithTry("send it as it was given, without quotes, spaces or line ends")
	}
	return token, nil
}

// tokenChar reports whether RFC 6750 allows c in a token.
func tokenChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~+/=", c)
}

// idText reports whether s can be a tenant: it becomes a part of storage keys.
func idText(s string) bool {
	const marks = "-._:@+="
	return s != "" && len(s) <= maxTenant && s != "." && s != ".." && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(marks, c)
	})
}

// subjectText reports whether s can stand in journals and logs as somebody's name.
func subjectText(s string) bool {
	return s != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
}

// named are the names that can be roles, each once. Providers put many into tokens that mean nothing here.
func named(names []string) (roles []string) {
	for _, name := range names {
		if idText(name) && !slices.Contains(roles, name) && len(roles) < maxRoles {
			roles = append(roles, name)
		}
	}
	return roles
}
