package server

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// FuzzChatBody: whatever a body is, it is answered, or refused with a whole problem that blames the client.
func FuzzChatBody(f *testing.F) {
	store := memory.New()
	echo := agentkernel.RunnerFunc(func(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
		return agentkernel.Reply{Text: "ok"}, nil
	})
	k, err := agentkernel.Open(context.Background(), store, agentkernel.Config{Agents: []*agentkernel.Agent{{Name: "a", Runner: echo, Limits: agentkernel.Limits{Queue: 1 << 20}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = k.Close(); _ = store.Close() })
	s := New(k, Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/api/v1/chat", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == 200 {
			var reply ChatReply
			if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || reply.Result != "ok" || reply.State != session.Completed {
				t.Fatalf("%v: %s", err, w.Body)
			}
			return
		}
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code < 400 || w.Code > 499 || p.Status != w.Code || p.Code == "" || p.Text == "" || p.RequestID == "" {
			t.Fatalf("%d %v: %s", w.Code, err, w.Body)
		}
	})
}
