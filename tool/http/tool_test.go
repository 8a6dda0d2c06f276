package httptool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

func TestACallSendsItsArgumentsAndItsKey(t *testing.T) {
	s := serve(t, nil)
	sp := spec(s.URL+"/charge/{order}", session.AtMostOnce)
	sp.Request.Headers = map[string]string{"X-Api-Key": "hush-hush"}
	got, err := made(t, sp).Call(background(), call(`{"order":"A-1","amount":12.50}`))
	if err != nil || got != "ok" {
		t.Fatalf("%q, %v", got, err)
	}
	r := s.requests()[0]
	if r.method != "POST" || r.uri != "/charge/A-1" || r.body != `{"order":"A-1","amount":12.50}` {
		t.Errorf("sent %+v", r)
	}
	for name, want := range map[string]string{
		"Idempotency-Key": testKey, "AK-Epoch": "7", "AK-Turn-Id": "s1~1.1.0.abcdef01",
		"X-Api-Key": "hush-hush", "Content-Type": "application/json",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
}

func TestArgumentsAreEscapedWhereTheyStand(t *testing.T) {
	s := serve(t, nil)
	for _, c := range []struct{ method, url, args, want string }{
		{"GET", "/w?city={city}", `{"city":"São Paulo & Co"}`, "/w?city=S%C3%A3o+Paulo+%26+Co"},
		{"GET", "/w/{city}", `{"city":"a/b?c#d%2f"}`, "/w/a%2Fb%3Fc%23d%252f"},
		{
			"GET", "/w", `{"n":12345678901234567890,"b":true,"none":null,"tags":["x y","z"],"o":{"k":1}}`,
			"/w?b=true&n=12345678901234567890&o=%7B%22k%22%3A1%7D&tags=x+y&tags=z",
		},
		{"GET", "/w?fixed=1", `{"q":"&fixed=2"}`, "/w?fixed=1&q=%26fixed%3D2"},
		{"GET", "/w?a={a}", `{"a":"1","b":"2"}`, "/w?a=1&b=2"},
		{"DELETE", "/w/{id}", `{"id":"x","why":"old"}`, "/w/x?why=old"},
		{"PUT", "/w/{id}/{idempotency_key}?v={n}", `{"id":"x","n":1.0}`, "/w/x/" + testKey + "?v=1.0"},
		{"POST", "/w", ``, "/w"},
	} {
		sp := spec(s.URL+c.url, session.ReadOnly)
		sp.Request.Method = c.method
		if _, err := made(t, sp).Call(background(), call(c.args)); err != nil {
			t.Errorf("%s %s: %v", c.method, c.url, err)
			continue
		}
		all := s.requests()
		if got := all[len(all)-1]; got.uri != c.want || got.method != c.method {
			t.Errorf("%s %s of %s: sent %s %s, not %s", c.method, c.url, c.args, got.method, got.uri, c.want)
		}
	}
}

func TestArgumentsThatDoNotFitAreNotSent(t *testing.T) {
	s := serve(t, nil)
	params := `{"type":"object","properties":{"order":{"type":"string"},"amount":{"type":"number"}},"required":["amount"]}`
	for _, c := range []struct{ url, args, want string }{
		{"/c", `{"order":"A-1","amount":"twelve"}`, "amount"},
		{"/c", `{"order":"A-1"}`, "amount"},
		{"/c", `[1]`, "no JSON object"},
		{"/c", `{"amount":`, "no JSON object"},
		{"/c/{order}", `{"amount":1}`, `"order" is missing`},
		{"/c/{order}", `{"amount":1,"order":""}`, `"order" is empty`},
		{"/c/{order}/x", `{"amount":1,"order":".."}`, "outside the tool's own"},
		{"/c/{order}{order}", `{"amount":1,"order":"."}`, "outside the tool's own"},
		{"/c/{extra}", `{"amount":1,"extra":["a"]}`, `"extra" must be a text`},
	} {
		sp := spec(s.URL+c.url, session.AtMostOnce)
		sp.Parameters = []byte(params)
		_, err := made(t, sp).Call(background(), call(c.args))
		if err == nil || unclear(err) || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.BadRequest {
			t.Errorf("%s of %s: %v", c.url, c.args, err)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestAStatusDecidesWhatBecameOfACall(t *testing.T) {
	status := 0
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if status != 304 && status != 204 {
			_, _ = fmt.Fprint(w, "body text")
		}
	})
	type want struct{ result, open bool }
	done, refused, open := want{result: true}, want{}, want{open: true}
	for _, c := range []struct {
		status  int
		refuses agentkernel.Refuses
		want    want
	}{
		{200, "", done},
		{201, "", done},
		{204, "", done},
		{299, "", done},
		{301, "", open},
		{302, "", open},
		{303, "", open},
		{304, "", open},
		{307, "", refused},
		{308, "", refused},
		{400, "", refused},
		{401, "", refused},
		{404, "", refused},
		{409, "", refused},
		{412, "", refused},
		{429, "", refused},
		{409, agentkernel.RefusesDuplicateKey, open},
		{412, agentkernel.RefusesStaleEpoch, open},
		{400, agentkernel.RefusesDuplicateKey, refused},
		{500, "", open},
		{502, "", open},
		{503, "", open},
		{599, "", open},
		{600, "", open},
	} {
		status = c.status
		sp := spec(s.URL, session.AtMostOnce)
		sp.Refuses = c.refuses
		before := len(s.requests())
		got, err := made(t, sp).Call(background(), call(`{}`))
		if (err == nil) != c.want.result || unclear(err) != c.want.open {
			t.Errorf("%d (refuses %q): %q, %v", c.status, c.refuses, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), fmt.Sprint(c.status)) || c.status != 304 && !strings.Contains(err.Error(), "body text")) {
			t.Errorf("%d: the model is told %q", c.status, err)
		}
		if n := len(s.requests()) - before; n != 1 {
			t.Errorf("%d: %d requests were sent", c.status, n)
		}
	}
}

func TestABrokenAnswerLeavesTheCallOpen(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":          "",
		"half a header":    "HTTP/1.1 200 OK\r\nContent-",
		"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"half a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nhalf",
		"no last chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"no HTTP at all":   "220 mail.example.com ESMTP\r\n",
		"half a 400":       "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nhalf",
		"a switch":         "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
		"a broken archive": "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			w := listen(t, func(_ int, c net.Conn) bool {
				_, _ = c.Write([]byte(raw))
				return false
			})
			got, err := made(t, spec(w.url(), session.AtMostOnce)).Call(background(), call(`{}`))
			if !unclear(err) {
				t.Errorf("%q, %v", got, err)
			}
			if requests, conns := w.counts(); requests != 1 || conns != 1 {
				t.Errorf("%d requests on %d connections", requests, conns)
			}
		})
	}
}

func TestSilenceAfterTheRequestLeavesTheCallOpen(t *testing.T) {
	got := make(chan struct{})
	w := listen(t, func(_ int, c net.Conn) bool {
		close(got)
		_, _ = c.Read(make([]byte, 1)) // until the client gives up
		return false
	})
	ctx, cancel := context.WithCancel(background())
	go func() {
		<-got
		cancel()
	}()
	_, err := made(t, spec(w.url(), session.AtMostOnce)).Call(ctx, call(`{}`))
	if !unclear(err) || fault.KindOf(err) != fault.Cancelled {
		t.Errorf("%v", err)
	}
}

func TestWhatWasNotSentDidNotHappen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	_ = l.Close()
	plain := serve(t, nil)
	for name, sp := range map[string]Spec{
		"refused": spec("http://"+refused, session.AtMostOnce),
		"no name": spec("http://name.invalid/", session.AtMostOnce),
		"no TLS":  spec("https://"+hostOf(plain.URL), session.AtMostOnce),
	} {
		_, err := made(t, sp).Call(background(), call(`{}`))
		if err == nil || unclear(err) || !strings.Contains(err.Error(), "not sent") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(plain.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestAnUntrustedCertificateMeansThatNothingWasSent(t *testing.T) {
	s := serve(t, nil)
	s.Close()
	s.Server = newTLS(t)
	_, err := made(t, spec(s.URL, session.AtMostOnce)).Call(background(), call(`{}`))
	if err == nil || unclear(err) {
		t.Errorf("%v", err)
	}
}

// A kept connection that the server closes after it has read a request makes net/http send the request again, by itself,
// if it has an Idempotency-Key or a method that may be repeated. The second case shows that it would, here too.
func TestAnAtMostOnceCallIsOnTheWireExactlyOnce(t *testing.T) {
	for _, c := range []struct {
		effect session.Effect
		method string
		want   int // requests on the wire for the second call
	}{
		{session.AtMostOnce, "POST", 1},
		{"", "POST", 1},
		{session.AtMostOnce, "GET", 1},
		{session.AtMostOnce, "DELETE", 1},
		{session.Idempotent, "POST", 2},
		{session.ReadOnly, "GET", 2},
	} {
		w := listen(t, func(n int, c net.Conn) bool {
			if n == 2 {
				return false // it read the request, and perhaps acted; it says nothing
			}
			_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			return true
		})
		sp := spec(w.url(), c.effect)
		sp.Request.Method = c.method
		tool := made(t, sp)
		if _, err := tool.Call(background(), call(`{}`)); err != nil {
			t.Fatal(err)
		}
		_, err := tool.Call(background(), call(`{}`))
		if requests, _ := w.counts(); requests != 1+c.want {
			t.Errorf("%s %s: the second call was on the wire %d times, not %d", c.effect, c.method, requests-1, c.want)
		}
		if c.want == 1 && !unclear(err) {
			t.Errorf("%s %s: %v", c.effect, c.method, err)
		}
	}
}

func TestAResultIsReadUpToItsLimit(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", 1<<20))) })
	sp := spec(s.URL, session.AtMostOnce)
	sp.MaxResult = 1000
	got, err := made(t, sp).Call(background(), call(`{}`))
	if err != nil || len(got) != 1001 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestSecretsAreNotInErrors(t *testing.T) {
	const bearer, key, password, query = "tok-bearer-secret", "tok-header-secret", "tok-password", "tok-query-secret"
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(422)
		_, _ = fmt.Fprint(w, r.Header, r.URL, password)
	})
	gone := serve(t, nil)
	gone.Close()
	for _, base := range []string{s.URL, gone.URL, "http://not-allowed.example"} {
		sp := Spec{Name: "x", Request: Request{
			URL:     strings.Replace(base, "http://", "http://user:"+password+"@", 1) + "/x?token=" + query,
			Headers: map[string]string{"Authorization": "Bearer " + bearer, "X-Key": key},
		}}
		tool, err := client(t, hostOf(s.URL), hostOf(gone.URL)).Tool(sp)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tool.Call(background(), call(`{}`))
		if err == nil {
			t.Fatal("no error")
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			for _, secret := range []string{bearer, key, password, query} {
				if strings.Contains(e.Error(), secret) {
					t.Errorf("%s shows %s: %v", base, secret, e)
				}
			}
		}
	}
}

func TestASpecsMistakesAreToldAtOnce(t *testing.T) {
	_, err := client(t).Tool(Spec{
		Name: "bad", Parameters: []byte(`{"type":12}`),
		Request:   Request{Method: "BREW", URL: "ftp://host/x", Headers: map[string]string{"idempotency-key": "x"}},
		Reconcile: &Request{URL: "http://{host}/x"},
	})
	if fault.KindOf(err) != fault.Config {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"parameters", "BREW", "http or https", "idempotency-key", "before the path"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	for _, u := range []string{"", "/x", "http://h/{a", "http://h/}", "http://h/#x", "{a}", "http://h{a}/", "http://h/%zz", "http://user:{a}@h/"} {
		if _, err := client(t).Tool(Spec{Name: "x", Request: Request{URL: u}}); fault.KindOf(err) != fault.Config {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestCredentialsAreNotInResultsAndSettingsAre(t *testing.T) {
	const bearer, region, query, format = "tok-bearer-secret", "eu-central-1-b", "tok-query-secret", "geojson-long"
	said := bearer + " " + region + " " + query + " " + format
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, said) })
	sp := Spec{
		Name: "x", Effect: session.ReadOnly, Request: Request{
			URL: s.URL + "/x?token=" + query + "&format=" + format, Headers: map[string]string{"Authorization": "Bearer " + bearer, "X-Region": region},
		},
		Reconcile: &Request{URL: s.URL},
	}
	want := "***************** " + region + " **************** " + format
	tool := made(t, sp, hostOf(s.URL))
	if got, err := tool.Call(background(), call(`{}`)); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tool.Reconcile(background(), call(`{}`)); err != nil || got.Result != want {
		t.Errorf("%+v, %v", got, err)
	}
	sp.MaxResult = len(bearer) - 4 // the cut is in the middle of the credential
	if got, err := made(t, sp, hostOf(s.URL)).Call(background(), call(`{}`)); err != nil || got != strings.Repeat("*", len(bearer)-3) {
		t.Errorf("%q, %v", got, err)
	}
}
