package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// fuzzServer serves an agent that answers at once, and one that asks a person first.
func fuzzServer(f *testing.F, answer agentkernel.RunnerFunc) *Server {
	f.Helper()
	store := memory.New()
	asking := agentkernel.RunnerFunc(func(ctx context.Context, t *agentkernel.Turn) (agentkernel.Reply, error) {
		_, err := t.Await(ctx, "may I", map[string]int{"n": 1}, agentkernel.Approval{})
		return agentkernel.Reply{Text: "ok"}, err
	})
	limits := agentkernel.Limits{Queue: 1 << 20}
	k, err := agentkernel.Open(context.Background(), store, agentkernel.Config{Agents: []*agentkernel.Agent{
		{Name: "a", Runner: answer, Limits: limits}, {Name: "asking", Runner: asking, Limits: limits},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = k.Close(); _ = store.Close() })
	return New(k, Config{SyncTimeout: time.Second, MaxFiles: 2, MaxFileSize: 1000, MaxBody: 1 << 16})
}

func ok(context.Context, *agentkernel.Turn) (agentkernel.Reply, error) {
	return agentkernel.Reply{Text: "ok"}, nil
}

// checkProblem fails unless an answer is a whole problem that does not blame the server.
func checkProblem(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var p Problem
	err := json.Unmarshal(w.Body.Bytes(), &p)
	server := w.Code >= 500 && !slices.Contains([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, w.Code)
	if err != nil || w.Code < 400 || server || w.Header().Get("Content-Type") != "application/problem+json" || p.Status != w.Code || p.Code == "" || p.Text == "" || p.RequestID == "" {
		t.Fatalf("%d %v: %s", w.Code, err, w.Body)
	}
}

// FuzzChatBody: whatever a body is, it is answered, or refused with a whole problem that blames the client.
func FuzzChatBody(f *testing.F) {
	s := fuzzServer(f, ok)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", chatPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", jsonType)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == 200 {
			var reply ChatReply
			if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || reply.Result != "ok" || reply.State != session.Completed {
				t.Fatalf("%v: %s", err, w.Body)
			}
			return
		}
		if w.Code == 202 { // the agent that asks
			return
		}
		checkProblem(t, w)
		if w.Code > 499 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzForm: whatever a form is, it is refused with a problem that blames the client, or the agent gets what it says: the
// prompt as package multipart reads it, and files within the limits, with names that are only names.
func FuzzForm(f *testing.F) {
	s := fuzzServer(f, func(_ context.Context, t *agentkernel.Turn) (agentkernel.Reply, error) {
		b, err := json.Marshal(t.Input())
		return agentkernel.Reply{Text: string(b)}, err
	})
	f.Fuzz(func(t *testing.T, boundary string, body []byte) {
		r := httptest.NewRequest("POST", multipartPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == 202 {
			return
		}
		if w.Code != 200 {
			checkProblem(t, w)
			if w.Code > 499 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		var reply ChatReply
		var said model.Message
		err := json.Unmarshal(w.Body.Bytes(), &reply)
		if err == nil {
			err = json.Unmarshal([]byte(reply.Result), &said)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		checkSaid(t, said, r.Header.Get("Content-Type"), body)
	})
}

func checkSaid(t *testing.T, said model.Message, contentType string, body []byte) {
	t.Helper()
	r := &http.Request{Method: "POST", Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body))}
	parts, err := r.MultipartReader()
	var want *multipart.Form
	if err == nil {
		want, err = parts.ReadForm(1 << 20)
	}
	if err != nil || len(want.Value["prompt"]) != 1 || want.Value["prompt"][0] != said.Text() {
		t.Fatalf("%v: %q was taken from %q", err, said.Text(), body)
	}
	for _, p := range said.Parts {
		if p.File == nil {
			continue
		}
		kind, _, _ := strings.Cut(p.File.MediaType, "/")
		if p.File.Size < 1 || p.File.Size > 1000 || strings.ContainsAny(p.File.Name, "/\\\x00\n\r") || !slices.Contains([]string{"text", "image", "application"}, kind) {
			t.Fatalf("%+v", p.File)
		}
	}
}

// FuzzAnyRequest: whatever is sent to whichever route of the description, it is answered, or refused with a whole problem
// that does not blame the server. In the id, DONE and WAITS stand for turns that have ended and that wait.
func FuzzAnyRequest(f *testing.F) {
	s := fuzzServer(f, ok)
	routes := describedRoutes(f, s)
	ids := strings.NewReplacer("DONE", madeTurn(f, s, "a"), "WAITS", madeTurn(f, s, "asking"))
	f.Fuzz(func(t *testing.T, route uint8, method, id, query, headers string, body []byte) {
		own, path, _ := strings.Cut(routes[int(route)%len(routes)], " ")
		if method == "" {
			method = own
		}
		target := strings.Replace(path, "{id}", ids.Replace(id), 1)
		if query != "" {
			target += "?" + query
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // no request could have this target
		}
		r := &http.Request{
			Method: method, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", RemoteAddr: "127.0.0.1:1",
			Header: headersOf(headers), Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		patience := patience
		if strings.HasSuffix(path, "/events") || wantsStream(r.Header["Accept"]) {
			patience = 5 * time.Millisecond // such a stream need not end
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(ctx))
		checkAnswer(t, w)
		if patience > time.Second && ctx.Err() != nil {
			t.Fatal("it was not answered")
		}
	})
}

func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	media := w.Header().Get("Content-Type")
	switch {
	case w.Code >= 300:
		checkProblem(t, w)
	case w.Header().Get("X-Request-Id") == "":
		t.Fatalf("no request id: %v", w.Header())
	case w.Code == http.StatusNoContent:
		if w.Body.Len() > 0 {
			t.Fatalf("%s", w.Body)
		}
	case media == "text/event-stream":
	case media != jsonType && media != "application/openapi+json" || !json.Valid(w.Body.Bytes()):
		t.Fatalf("%d %s: %s", w.Code, media, w.Body)
	}
}

// describedRoutes are the routes of the description in order, as "POST /api/v1/chat", and two that it does not have.
func describedRoutes(f *testing.F, s *Server) []string {
	f.Helper()
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(s.OpenAPI(), &doc); err != nil {
		f.Fatal(err)
	}
	var routes []string
	for path, methods := range doc.Paths {
		for method := range methods {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	if len(routes) < 20 {
		f.Fatalf("only %d routes", len(routes))
	}
	return append(routes, "GET /openapi.json", "GET /{id}")
}

// madeTurn makes a turn of an agent, and returns its id when it is settled.
func madeTurn(f *testing.F, s *Server, agent string) string {
	f.Helper()
	r := httptest.NewRequest("POST", chatPath, strings.NewReader(`{"prompt":"hello","agent":"`+agent+`","session_id":"of-`+agent+`"}`))
	r.Header.Set("Content-Type", jsonType)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code > 202 {
		f.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Header().Get("AK-Turn-Id")
}

// headersOf are the lines that net/http would let through.
func headersOf(lines string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		wrong := strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
		token := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
		if ok && !wrong && token && name != "" {
			name = textproto.CanonicalMIMEHeaderKey(name)
			h[name] = append(h[name], strings.TrimSpace(value))
		}
	}
	return h
}
