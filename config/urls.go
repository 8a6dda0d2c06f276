package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// hostName takes what resolvers take: labels of letters, digits, dashes and underscores.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func validHost(host string) bool { return len(host) <= 253 && hostName.MatchString(host) }

// urlFault says what keeps text from being an absolute http or https URL, without quoting it; empty means nothing.
func urlFault(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "it cannot be read as a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "it must begin with http:// or https://"
	case u.Hostname() == "":
		return "it has no host"
	case u.Fragment != "":
		return "what follows # is never sent"
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil && !validHost(u.Hostname()) {
		return "its host is no host name"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "its port is no port"
		}
	}
	return ""
}

// templateFault is urlFault for a URL with placeholders, which must come after the host: a model chooses what they
// stand for, and must not choose where a request goes.
func templateFault(template string) string {
	rest := placeholder.ReplaceAllString(template, "")
	if strings.ContainsAny(rest, "{}") {
		return "a { or } stands alone, or what it encloses is no name"
	}
	if at := strings.IndexByte(template, '{'); at >= 0 {
		scheme := strings.Index(template, "://")
		if scheme < 0 {
			return "it must begin with http:// or https://"
		}
		if path := strings.IndexAny(template[scheme+3:], "/?"); path < 0 || at < scheme+3+path {
			return "a placeholder must come after the host"
		}
	}
	return urlFault(withoutPlaceholders(template))
}

// fixedURLFault is urlFault for a URL in which nothing stands for anything else.
func fixedURLFault(text string) string {
	if strings.ContainsAny(text, "{}") {
		return "nothing is put in for a {placeholder} here"
	}
	return urlFault(text)
}

// validHeaderValue reports whether text may be sent as a header's value.
func validHeaderValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
