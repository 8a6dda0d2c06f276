package httptool

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
)

// allowlist says where requests may go.
type allowlist struct {
	names    []nameRule
	networks []netip.Prefix // of addresses of any name
}

// nameRule allows what is written in a URL: a name or an address.
type nameRule struct {
	host   string // lower case, without a final dot; the domain, for its subdomains
	port   string // empty means any
	domain bool   // any name below host, but not host itself
}

// permission is what the list says about a URL before its name is resolved.
type permission int

const (
	denied  permission = iota
	byName             // whatever it resolves to
	byRange            // if it resolves into one of the networks
)

func newAllowlist(entries []string) (*allowlist, error) {
	var a allowlist
	for _, entry := range entries {
		if p, err := netip.ParsePrefix(entry); err == nil {
			a.networks = append(a.networks, p.Masked())
			continue
		}
		host, port := entry, ""
		if h, p, err := net.SplitHostPort(entry); err == nil {
			host, port = h, p
		}
		rule := nameRule{port: port}
		rest, isDomain := strings.CutPrefix(host, "*.")
		rule.host, rule.domain = plainHost(rest), isDomain
		if rule.host == "" || strings.ContainsAny(rule.host, "*/ ") || strings.Trim(port, "0123456789") != "" {
			return nil, fault.New(fault.Config, "httptool.NewClient", "%q is no host, host:port, *.domain or network", entry)
		}
		a.names = append(a.names, rule)
	}
	return &a, nil
}

// plainHost is a host in the one form in which hosts are compared.
func plainHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.Unmap().WithZone("").String()
	}
	return host
}

// url judges a URL, before its name is resolved.
func (a *allowlist) url(u *url.URL) permission {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port == "" {
		return denied // neither http nor https
	}
	return a.host(u.Hostname(), port)
}

func (a *allowlist) host(host, port string) permission {
	host = plainHost(host)
	for _, r := range a.names {
		match := r.host == host
		if r.domain {
			match = strings.HasSuffix(host, "."+r.host)
		}
		if match && (r.port == "" || r.port == port) {
			return byName
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if a.inRange(addr) {
			return byRange
		}
		return denied
	}
	if len(a.networks) > 0 {
		return byRange
	}
	return denied
}

func (a *allowlist) inRange(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(a.networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// egressError says that the allow-list keeps a request from being sent.
type egressError struct{ to string }

func (e *egressError) Error() string {
	return fmt.Sprintf("%s is not in the list of places that tools may connect to", e.to)
}

// checkURL is nil for a URL that may be tried.
func (a *allowlist) checkURL(u *url.URL) error {
	if a.url(u) == denied {
		return &egressError{to: u.Host}
	}
	return nil
}

// checkAddress is nil if the address that a name resolved to, as "address:port", may be connected to.
func (a *allowlist) checkAddress(address string) error {
	if ap, err := netip.ParseAddrPort(address); err != nil || !a.inRange(ap.Addr()) {
		return &egressError{to: address}
	}
	return nil
}
