package httptool

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func newTLS(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshake is meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestTheListJudgesHostsAndPorts(t *testing.T) {
	a, err := newAllowlist([]string{
		"api.example.com", "pay.example.com:8443", "*.example.org", "*.example.net:443", "10.0.0.0/8", "192.0.2.7", "[2001:db8::1]:80", "2001:db8:1::/48",
	})
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]permission{
		"http://api.example.com/":          byName,
		"https://API.Example.com.:1234/":   byName,
		"https://pay.example.com:8443/":    byName,
		"https://a.example.org/":           byName,
		"https://a.b.example.org:1/":       byName,
		"https://a.example.net/":           byName,
		"http://192.0.2.7:99/":             byName,
		"http://[::ffff:192.0.2.7]/":       byName,
		"http://[2001:db8::1]/":            byName,
		"http://10.1.2.3/":                 byRange,
		"http://[2001:db8:1::9]/":          byRange,
		"https://pay.example.com/":         byRange, // a name may resolve into a network of the list
		"https://example.org/":             byRange,
		"https://evilexample.org/":         byRange,
		"http://a.example.net/":            byRange,
		"http://[2001:db8::1]:81/":         denied,
		"http://11.1.2.3/":                 denied,
		"http://[::1]/":                    denied,
		"ftp://api.example.com/":           denied,
		"file:///etc/passwd":               denied,
		"http://api.example.com@11.1.2.3/": denied,
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.url(u); got != want {
			t.Errorf("%s: %d, not %d", target, got, want)
		}
	}
	for _, bad := range []string{"", "a b", "*", "*.*.x", "10.0.0.0/33", "http://x"} {
		if _, err := NewClient([]string{bad}); fault.KindOf(err) != fault.Config {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAPlaceOutsideTheListIsNotConnectedTo(t *testing.T) {
	s := serve(t, nil)
	port := s.URL[strings.LastIndexByte(s.URL, ':'):]
	for _, c := range []struct {
		url   string
		allow []string
		ok    bool
	}{
		{"http://127.0.0.1" + port, []string{"127.0.0.1"}, true},
		{"http://127.0.0.1" + port, []string{"127.0.0.0/8"}, true},
		{"http://localhost" + port, []string{"localhost"}, true},
		{"http://localhost" + port, []string{"127.0.0.0/8", "::1/128"}, true},
		{"http://localhost" + port, []string{"10.0.0.0/8"}, false}, // by the address that it resolves to
		{"http://127.0.0.1" + port, []string{"127.0.0.1:1"}, false},
		{"http://127.0.0.1" + port, nil, false},
	} {
		before := len(s.requests())
		tool, err := client(t, c.allow...).Tool(Spec{Name: "x", Request: Request{URL: c.url}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tool.Call(background(), call(`{}`))
		arrived := len(s.requests()) - before
		if (err == nil) != c.ok || unclear(err) || (arrived == 1) != c.ok {
			t.Errorf("%s with %v: %v, %d arrived", c.url, c.allow, err, arrived)
		}
		if err != nil && !strings.Contains(err.Error(), "not in the list") {
			t.Errorf("%s with %v: %v", c.url, c.allow, err)
		}
	}
}

func TestRedirectsStayWithinTheList(t *testing.T) {
	inside, outside := serve(t, nil), serve(t, nil)
	to := ""
	from := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	sp := Spec{Name: "x", Effect: session.ReadOnly, Request: Request{
		Method: "GET", URL: from.URL, Headers: map[string]string{"X-Api-Key": "hush-hush"},
	}}
	tool := made(t, sp, hostOf(inside.URL))

	to = inside.URL + "/there"
	if got, err := tool.Call(background(), call(`{}`)); err != nil || got != "ok" {
		t.Errorf("inside: %q, %v", got, err)
	}
	if h := inside.requests()[0].header; h.Get("X-Api-Key") != "" || h.Get("Referer") != "" {
		t.Errorf("another origin was shown %v", h)
	}
	to = outside.URL
	if _, err := tool.Call(background(), call(`{}`)); err == nil || !strings.Contains(err.Error(), "not in the list") {
		t.Errorf("outside: %v", err)
	}
	if n := len(outside.requests()); n != 0 {
		t.Errorf("%d requests left the list", n)
	}
	to = from.URL
	if _, err := tool.Call(background(), call(`{}`)); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("a circle: %v", err)
	}
}

func TestOnlyAGetThatMayBeRepeatedIsRedirected(t *testing.T) {
	there := serve(t, nil)
	from := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, there.URL, http.StatusTemporaryRedirect)
	})
	for _, c := range []struct {
		method string
		effect session.Effect
	}{{"POST", session.Idempotent}, {"POST", session.AtMostOnce}, {"GET", session.AtMostOnce}, {"DELETE", session.Idempotent}} {
		sp := spec(from.URL, c.effect)
		sp.Request.Method = c.method
		if _, err := made(t, sp, hostOf(there.URL)).Call(background(), call(`{}`)); err == nil {
			t.Errorf("%s %s was redirected", c.effect, c.method)
		}
	}
	if n := len(there.requests()); n != 0 {
		t.Errorf("%d requests were redirected", n)
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	proxy, s := serve(t, nil), serve(t, nil)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	c := client(t, hostOf(s.URL))
	for _, transport := range []*http.Transport{c.kept, c.once} {
		if transport.Proxy != nil {
			t.Error("a transport asks for a proxy")
		}
	}
	tool := made(t, spec(s.URL, session.AtMostOnce))
	if _, err := tool.Call(background(), call(`{}`)); err != nil || len(proxy.requests()) != 0 {
		t.Errorf("%v, %d requests at the proxy", err, len(proxy.requests()))
	}
}
