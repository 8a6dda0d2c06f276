package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// told is one event of a stream.
type told struct{ id, kind, data string }

// teller is a stream that is read to its end, over as many connections as it takes.
type teller struct {
	turn   string
	events []told
	cuts   int // connections that ended before the turn did
}

// TestAFleetIsRestartedUnderStreamsAndNoRequestFails replaces the three replicas behind HAProxy one after the other, by
// SIGTERM, while clients ask and others read streams: no request fails, and each stream tells its whole turn, once.
func TestAFleetIsRestartedUnderStreamsAndNoRequestFails(t *testing.T) {
	onStore(t, fleetStores, func(t *testing.T, st *store) {
		p := newPlace(t, world{store: st, lease: "3s", timeout: "20s", drain: documentedDelay, agents: basic.agents})
		p.desk.takes, p.desk.longer = 500*time.Millisecond, 7*time.Second // longer than a server that leaves goes on serving
		b := p.balanced(true)
		const clients = 24
		l := startLoad(t, &load{
			of: func(int) *server { return b.front }, place: p, clients: clients, alone: true, streams: true,
			tools: []string{"once", "idem", "once", "ask"}, patience: 2 * time.Minute,
		})
		for i := range backends {
			l.more(t, clients/2)
			b.replace(t, i)
		}
		l.more(t, clients/2)
		l.stop()
		l.judge(t, b.server(0), clients)
		moved := l.again["202"]
		if delete(l.again, "202"); len(l.again) > 0 {
			t.Errorf("requests failed, by why: %v", l.again)
		}
		t.Logf("%d streams, which were cut %d times; %d requests were told 202 because their turn went elsewhere", l.told, l.cuts, moved)
		if l.cuts == 0 || moved == 0 {
			t.Error("no turn was handed over: the test shows nothing")
		}
		p.verify("")
	})
}

// stream sends a request and reads its turn to the end, at whatever replica.
func (l *load) stream(c context.Context, where, tool, key, prompt string) {
	f := &teller{}
	body := mustJSON(map[string]any{"session_id": where, "prompt": prompt})
	tick := time.NewTicker(200 * time.Millisecond) // between two connections
	defer tick.Stop()
	for !f.done() {
		if c.Err() != nil {
			l.wrong("%s: the stream did not come to an end in time", prompt)
			return
		}
		req, err := http.NewRequestWithContext(c, http.MethodPost, l.of(0).url+"/api/v1/chat", bytes.NewReader(body))
		if f.turn != "" {
			req, err = http.NewRequestWithContext(c, http.MethodGet, l.of(0).url+"/api/v1/turns/"+f.turn+"/events", nil)
		}
		if err != nil {
			l.wrong("%v", err)
			return
		}
		if req.Header.Set("Accept", "text/event-stream"); f.turn == "" {
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", key)
		} else if n := len(f.events); n > 0 {
			req.Header.Set("Last-Event-ID", f.events[n-1].id)
		}
		if why := f.read(req); why != "" {
			l.mu.Lock()
			l.again[why]++
			l.mu.Unlock()
		}
		if !f.done() {
			<-tick.C
		}
	}
	if why := f.judge(c, l.of(0)); why != "" {
		l.wrong("%s: %s: %+v", prompt, why, f.events)
	}
	l.mu.Lock()
	l.told++
	l.cuts += f.cuts
	l.mu.Unlock()
	var end answer
	_ = json.Unmarshal([]byte(f.events[len(f.events)-1].data), &end)
	end.Turn = f.turn
	l.answered(where, prompt, tool, end)
}

func (f *teller) done() bool { return len(f.events) > 0 && f.events[len(f.events)-1].kind == "done" }

// read reads from one connection until it ends. It says why when the request failed; a connection that ends is none.
func (f *teller) read(req *http.Request) (failed string) {
	resp, err := client.Do(req)
	if err != nil {
		return "broken"
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprint("stream ", resp.StatusCode)
	}
	f.turn = resp.Header.Get("AK-Turn-Id")
	var e told
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e.kind == "problem" {
				return "problem " + e.data
			}
			if e.kind != "" {
				f.events = append(f.events, e)
			}
			if e = (told{}); f.done() {
				_, _ = io.Copy(io.Discard, resp.Body)
				return ""
			}
		}
	}
	f.cuts++
	return ""
}

// journaled are the events that are never lost and never told twice.
func (f *teller) journaled() (all []told) {
	for _, e := range f.events {
		if e.kind != "delta" && e.kind != "attempt.reset" {
			all = append(all, e)
		}
	}
	return all
}

// judge compares what was told with what a new reader is told, and texts as they came with the texts of the steps.
func (f *teller) judge(c context.Context, s *server) string {
	req, err := http.NewRequestWithContext(c, http.MethodGet, s.url+"/api/v1/turns/"+f.turn+"/events", nil)
	if err != nil {
		return err.Error()
	}
	all := &teller{}
	if why := all.read(req); why != "" {
		return why
	}
	if !slices.Equal(f.journaled(), all.journaled()) {
		return fmt.Sprintf("a new reader is told %+v", all.journaled())
	}
	texts := map[string]string{}
	for _, e := range f.events {
		var about struct {
			Step string `json:"step"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal([]byte(e.data), &about); err != nil {
			return err.Error()
		}
		switch e.kind {
		case "delta":
			texts[about.Step] += about.Text
		case "attempt.reset":
			texts[about.Step] = about.Text
		case "step.completed":
			if got := texts[about.Step]; !strings.HasPrefix(about.Text, got) {
				return fmt.Sprintf("the text of step %s came as %q", about.Step, got)
			}
		}
	}
	return ""
}
