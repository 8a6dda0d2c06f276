package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// api is a server that a conversation can be held with: "pay" waits for a yes, "hang" runs until it is cancelled,
// "doubt" is in doubt, and everything else is answered with itself.
type api struct {
	*httptest.Server
	mu     sync.Mutex
	said   []string      // what it was told, in order
	hangs  chan struct{} // gets one when a turn hangs
	cancel chan struct{} // closed by a cancel
	late   chan struct{} // when it is closed, the turn of the prompt "late" is accepted
}

func newAPI(t *testing.T) *api {
	t.Helper()
	f := &api{hangs: make(chan struct{}, 1), cancel: make(chan struct{}), late: make(chan struct{})}
	f.Server = httptest.NewServer(f.routes())
	t.Cleanup(f.Close)
	return f
}

func (f *api) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func (f *api) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.said, "\n")
}

func (f *api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/agents", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"agents":["first","second"],"details":[{"name":"first","model":"m"},{"name":"second","model":"m"}]}`)
	})
	mux.HandleFunc("POST /api/v1/chat", f.chat)
	mux.HandleFunc("GET /api/v1/turns/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"turn_id":%q,"state":"waiting","waiting":{"reason":"approval","asks":[{"step":"t1","name":"pay","args":{"n":1},"digest":"d1"},{"step":"t2","name":"pay","args":{"n":2},"digest":"d2"}]}}`, r.PathValue("id"))
	})
	mux.HandleFunc("POST /api/v1/turns/{id}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.note("%s %s %s", r.PathValue("verb"), r.PathValue("id"), body)
		if r.PathValue("verb") == "cancel" {
			close(f.cancel)
		}
		_, _ = fmt.Fprint(w, `{}`)
	})
	mux.HandleFunc("GET /api/v1/turns/{id}/events", func(w http.ResponseWriter, r *http.Request) {
		f.note("events after %s", r.Header.Get("Last-Event-ID"))
		_, _ = fmt.Fprint(w, "id: 4.0\nevent: done\ndata: {\"state\":\"completed\",\"result\":\"paid\"}\n\n")
	})
	mux.HandleFunc("DELETE /api/v1/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		f.note("erase %s", r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (f *api) chat(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Prompt  string `json:"prompt"`
		Session string `json:"session_id"`
		Agent   string `json:"agent"`
		Files   []chatFile
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	f.note("%s|%s|%s", body.Prompt, body.Session, body.Agent)
	send := func(id, typ, data string) {
		_, _ = fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", id, typ, data)
		_ = http.NewResponseController(w).Flush()
	}
	if body.Prompt == "late" {
		f.hangs <- struct{}{}
		<-f.late
	}
	send("1.0", "turn.accepted", `{"turn_id":"T","session_id":"S"}`)
	switch body.Prompt {
	case "pay":
		send("2.0", "waiting", `{"reason":"approval","detail":"pay"}`)
	case "doubt":
		send("2.0", "waiting", `{"reason":"in_doubt","detail":"did it?"}`)
	case "fail":
		send("2.0", "done", `{"state":"failed","error":{"kind":"budget","message":"too long"}}`)
	case "hang", "late":
		if body.Prompt == "hang" {
			f.hangs <- struct{}{}
		}
		select {
		case <-f.cancel:
			send("2.0", "done", `{"state":"cancelled"}`)
		case <-r.Context().Done():
		}
	default:
		send("2.0", "done", fmt.Sprintf(`{"state":"completed","result":%q}`, "you said "+body.Prompt))
	}
}

// talk holds a conversation of lines with a server, as a script or as if at a terminal.
func talk(f *api, tty bool, lines string) (out, errs string, err error) {
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(lines), out: &o, err: &e, format: asTable}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &repl{app: a, client: &client{base: f.URL, http: f.Client()}, flags: &chatFlags{}, tty: tty, lines: readLines(ctx, a.in), breaks: make(chan os.Signal)}
	err = r.run(ctx)
	return o.String(), e.String(), err
}

func TestAScriptGoesOnAfterErrorsAndEndsWithTheLastOne(t *testing.T) {
	f := newAPI(t)
	out, errs, err := talk(f, false, "one\n!list\n!select second\n!select third\nfail\n!nope\n!help me\n!!list\n\n!new\ntwo\n!quit\nnever\n")
	if exitCode(err) != fault.ExitUsage || !strings.HasPrefix(out, "you said one\nAGENT") || !strings.HasSuffix(out, "you said !list\nyou said two\n") {
		t.Errorf("%q, %v", out, err)
	}
	if want := "one||\nfail|S|second\n!list|S|second\ntwo||second"; f.told() != want {
		t.Errorf("it was told %q", f.told())
	}
	for _, want := range []string{`there is no agent "third"`, "the turn failed: too long", "there is no command !nope", "!help takes nothing behind it"} {
		if strings.Count(errs, want) != 1 {
			t.Errorf("%q is not once in %q", want, errs)
		}
	}
	if strings.Contains(errs, "> ") {
		t.Errorf("a script is shown prompts: %q", errs)
	}
	if _, _, err := talk(f, false, "fail\none\n"); exitCode(err) != fault.ExitFailed {
		t.Errorf("an error before the last line: %v", err)
	}
	if _, _, err := talk(f, false, "one\n"); err != nil {
		t.Errorf("no error: %v", err)
	}
}

func TestAPersonIsShownWhoIsAsked(t *testing.T) {
	out, errs, err := talk(newAPI(t), true, "one\n!select second\ntwo\n")
	if err != nil || out != "you said one\nyou said two\n" {
		t.Errorf("%q, %v", out, err)
	}
	for _, want := range []string{"!help lists commands", "first> first> (second is asked", "second> ", "(go on with: ak chat --session S)"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in %q", want, errs)
		}
	}
}

func TestASessionIsErasedOnlyAfterItsWord(t *testing.T) {
	for lines, want := range map[string]string{
		"!clear\none\n!clear\nerase\ntwo\n": "one||\nerase S\ntwo||",
		"one\n!clear\nyes\ntwo\n":           "one||\ntwo|S|",
		"one\n!clear\n":                     "one||",
	} {
		f := newAPI(t)
		if _, errs, _ := talk(f, false, lines); f.told() != want {
			t.Errorf("%q: it was told %q (%s)", lines, f.told(), errs)
		}
	}
}

func TestACallThatWaitsForApprovalIsDecidedOrLeft(t *testing.T) {
	const y1, y2 = `approve T {"step":"t1","digest":"d1"}`, `approve T {"step":"t2","digest":"d2"}`
	for name, c := range map[string]struct {
		lines string
		told  string
		out   string
		code  int
	}{
		"yes to both":          {"pay\ny\nYES\n", "pay||\n" + y1 + "\n" + y2 + "\nevents after 2.0", "paid\n", 0},
		"no, with a reason":    {"pay\nn too much\nno\n", "pay||\n" + `deny T {"step":"t1","digest":"d1","note":"too much"}` + "\n" + `deny T {"step":"t2","digest":"d2"}` + "\nevents after 2.0", "paid\n", 0},
		"yes, and then later":  {"pay\ny\n\none\n", "pay||\n" + y1 + "\none|S|", "you said one\n", fault.ExitWaiting},
		"neither yes nor no":   {"pay\nmaybe\n", "pay||", "", fault.ExitUsage},
		"a yes with a but":     {"pay\nyes but not today\n", "pay||", "", fault.ExitUsage},
		"the end of the input": {"pay\n", "pay||", "", fault.ExitWaiting},
		"in doubt is not this": {"doubt\n", "doubt||", "", fault.ExitWaiting},
	} {
		f := newAPI(t)
		out, errs, err := talk(f, false, c.lines)
		code := 0
		if err != nil {
			code = exitCode(err)
		}
		if f.told() != c.told || out != c.out || code != c.code {
			t.Errorf("%s: told %q, said %q, exit code %d (%s)", name, f.told(), out, code, errs)
		}
	}
}

// held is a conversation in which somebody can press Ctrl-C.
func held(f *api, tty bool) (r *repl, breaks chan os.Signal, errs *bytes.Buffer) {
	breaks, errs = make(chan os.Signal), &bytes.Buffer{}
	a := &app{out: io.Discard, err: errs, format: asTable}
	return &repl{app: a, client: &client{base: f.URL, http: f.Client()}, flags: &chatFlags{}, tty: tty, breaks: breaks}, breaks, errs
}

func TestAnInterruptCancelsTheRunningTurn(t *testing.T) {
	for _, prompt := range []string{"hang", "late"} {
		f := newAPI(t)
		r, breaks, errs := held(f, true)
		done := make(chan error, 1)
		go func() { done <- r.ask(context.Background(), prompt) }()
		<-f.hangs
		breaks <- os.Interrupt // it is taken, and only then the late turn gets its name
		close(f.late)
		if err := <-done; err != nil || !strings.Contains(f.told(), "cancel T") || !strings.Contains(errs.String(), "(cancelled)") {
			t.Errorf("%s: %v, told %q, %s", prompt, err, f.told(), errs)
		}
		if r.flags.session != "S" {
			t.Errorf("%s: the conversation does not go on in its session", prompt)
		}
	}
	f := newAPI(t)
	r, breaks, _ := held(f, false)
	done := make(chan error, 1)
	go func() { done <- r.ask(context.Background(), "hang") }()
	<-f.hangs
	breaks <- os.Interrupt
	if err := <-done; !errors.Is(err, errLeave) || !strings.Contains(f.told(), "cancel T") {
		t.Errorf("a script: %v, told %q", err, f.told())
	}
}

func TestFilesAreSentWithTheirTypes(t *testing.T) {
	dir := t.TempDir()
	paths := []string{}
	want := map[string]string{
		"a.png": "image/png", "b.pdf": "application/pdf", "c.md": "text/markdown", "d.csv": "text/csv", "e.txt": "text/plain", "f.json": "application/json",
		"g.unheardof": "application/octet-stream",
	}
	content := map[string]string{"a.png": "\x89PNG\r\n\x1a\n", "b.pdf": "%PDF-1.7", "g.unheardof": "\x00\x01\x02"}
	for name := range want {
		path := dir + "/" + name
		text := content[name]
		if text == "" {
			text = "{}"
		}
		write(t, path, text)
		paths = append(paths, path)
	}
	files, err := readFiles(paths)
	if err != nil || len(files) != len(want) {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if f.MediaType != want[f.Name] || len(f.Data) == 0 {
			t.Errorf("%s is %s", f.Name, f.MediaType)
		}
	}
	write(t, dir+"/empty", "")
	for path, kind := range map[string]fault.Kind{dir + "/nothing": fault.NotFound, dir + "/empty": fault.BadRequest, dir: fault.BadRequest} {
		if _, err := readFiles([]string{path}); fault.KindOf(err) != kind {
			t.Errorf("%s: %v", path, err)
		}
	}
	write(t, dir+"/large", strings.Repeat("x", 11))
	if _, err := readUpTo(dir+"/large", 10); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
}
