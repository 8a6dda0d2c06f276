package httptool

import (
	"net"
	"net/http"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/session"
)

func asking(t *testing.T, base string) *agentkernel.Tool {
	t.Helper()
	sp := spec(base+"/charge", session.AtMostOnce)
	sp.Reconcile = &Request{URL: base + "/charge/{idempotency_key}?order={order}"}
	return made(t, sp)
}

func TestReconcileAsksByKey(t *testing.T) {
	s := serve(t, nil)
	f, err := asking(t, s.URL).Reconcile(background(), call(`{"order":"A 1","amount":3}`))
	if err != nil || f != (agentkernel.Finding{Outcome: session.Happened, Result: "ok"}) {
		t.Fatalf("%+v, %v", f, err)
	}
	r := s.requests()[0]
	if r.method != "GET" || r.uri != "/charge/"+testKey+"?order=A+1" || r.body != "" || r.header.Get("Idempotency-Key") != testKey {
		t.Errorf("asked %+v", r)
	}
}

func TestWhatReconcileFound(t *testing.T) {
	for _, c := range []struct {
		status int
		fenced string
		want   agentkernel.Finding
		failed bool
	}{
		{200, "", agentkernel.Finding{Outcome: session.Happened, Result: "body"}, false},
		{404, "", agentkernel.Finding{Outcome: session.DidNotHappen}, false},
		{404, "true", agentkernel.Finding{Outcome: session.DidNotHappen, Fenced: true}, false},
		{404, "no", agentkernel.Finding{Outcome: session.DidNotHappen}, false},
		{201, "", agentkernel.Finding{Outcome: session.StaysUnknown}, true},
		{202, "true", agentkernel.Finding{Outcome: session.StaysUnknown}, true},
		{400, "", agentkernel.Finding{Outcome: session.StaysUnknown}, true},
		{410, "true", agentkernel.Finding{Outcome: session.StaysUnknown}, true},
		{500, "", agentkernel.Finding{Outcome: session.StaysUnknown}, true},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.fenced != "" {
				w.Header().Set("AK-Fenced", c.fenced)
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte("body"))
		})
		f, err := asking(t, s.URL).Reconcile(background(), call(`{"order":"A"}`))
		if f != c.want || (err != nil) != c.failed {
			t.Errorf("%d: %+v, %v", c.status, f, err)
		}
	}
}

func TestAReconcileThatFailsKnowsNothing(t *testing.T) {
	w := listen(t, func(_ int, c net.Conn) bool {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
		return false
	})
	f, err := asking(t, w.url()).Reconcile(background(), call(`{"order":"A"}`))
	if f.Outcome != session.StaysUnknown || err == nil {
		t.Errorf("a cut answer: %+v, %v", f, err)
	}
	f, err = asking(t, w.url()).Reconcile(background(), call(`{}`))
	if f.Outcome != session.StaysUnknown || err == nil {
		t.Errorf("no argument for the address: %+v, %v", f, err)
	}
}
