package inference

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// forty is what the model says to "Count to 40."
const (
	count = "Count to 40."
	forty = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, " +
		"21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40."
)

func TestTheModelCallsToolsAndAnswersWithWhatTheyGave(t *testing.T) {
	for name, c := range map[string]struct {
		prompt string
		calls  []string
		says   []string
	}{
		"one call": {"What is the weather in Oslo?", []string{`/get_weather {"city":"Oslo"}`}, []string{"21", "Oslo"}},
		"two calls, one after the other": {
			"Compare the weather in Oslo and Rome.",
			[]string{`/get_weather {"city":"Oslo"}`, `/get_weather {"city":"Rome"}`},
			[]string{"21", "33"},
		},
		"numbers": {"What is 3 plus 4?", []string{`/add {"a":3,"b":4}`}, []string{"7"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.chat(t, "worker", c.prompt)
			if a.Status != http.StatusOK || a.State != "completed" || len(a.Degraded) > 0 {
				t.Errorf("got %+v", a)
			}
			for _, word := range c.says {
				if !strings.Contains(a.Result, word) {
					t.Errorf("the answer is %q", a.Result)
				}
			}
			if got := w.desk.asked(); !slices.Equal(got, c.calls) {
				t.Errorf("calls %q", got)
			}
			if a.Input < 20 || a.Output < 20 {
				t.Errorf("%d tokens read, %d written", a.Input, a.Output)
			}
		})
	}
}

func TestAModelThatNeverStopsCallingIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.chat(t, "worker", "Watch the weather in Oslo forever.")
	if a.Status != http.StatusOK || a.Result == "" || len(a.Degraded) != 1 || a.Degraded[0].What != "loop" {
		t.Errorf("got %+v", a)
	}
	if n := len(w.desk.asked()); n != 3 {
		t.Errorf("%d calls", n)
	}
}

func TestTextIsStreamedAsTheModelSaysIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := w.stream(t, "talker", count)
	all, pieces := "", 0
	for {
		e, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if e.name == "delta" {
			all += e.data.Text
			pieces++
		}
		if e.name == "done" {
			if e.data.Result != forty || all != forty || pieces < 2 {
				t.Errorf("%d pieces make %q, the result is %q", pieces, all, e.data.Result)
			}
			return
		}
	}
}

func TestASchemaHoldsTheModel(t *testing.T) {
	t.Parallel()
	a := newWorld(t).chat(t, "former", "What is the weather in Oslo?")
	var value struct {
		City  string
		Sunny *bool
	}
	if err := json.Unmarshal(a.Value, &value); err != nil || a.Status != http.StatusOK || len(a.Degraded) > 0 ||
		value.City != "Oslo" && value.City != "Rome" || value.Sunny == nil {
		t.Errorf("got %+v, value %s, %v", a, a.Value, err)
	}
}

// TestAnAnswerWhoseEngineWasKilledIsAFailureAndCanBeRetried: half an answer is never taken for a whole one, however the
// connection ends.
func TestAnAnswerWhoseEngineWasKilledIsAFailureAndCanBeRetried(t *testing.T) {
	for name, kill := range map[string]func(*testing.T, *engine){
		"the worker: the response ends in order": func(t *testing.T, e *engine) { e.killWorker(t) },
		"all of it: the connection breaks": func(t *testing.T, e *engine) {
			e.kill(t)
			newEngine(t, e.port)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "ENGINE_HOLD=10")
			next := w.stream(t, "talker", count)
			turn := text(t, next)
			kill(t, w.engine)
			if e := last(t, next); e.data.State != "failed" || !strings.Contains(string(e.data.Error), `"kind":"truncated"`) || e.data.Result != "" {
				t.Errorf("the stream ended with %+v", e)
			}
			if a := w.chat(t, "talker", count); a.Status != http.StatusBadGateway || a.Code != "truncated" || a.Turn != turn {
				t.Errorf("the same key: %+v", a)
			}
			again := w.ask(t, http.MethodPost, "/api/v1/turns/"+turn+"/retry", "", nil)
			if again.Status != http.StatusAccepted || again.Turn == turn {
				t.Errorf("the retry: %+v", again)
			}
			if e := w.follow(t, again.Turn); e.data.State != "completed" || e.data.Result != forty {
				t.Errorf("the retry ended with %+v", e)
			}
		})
	}
}

func TestAToolCallThatTheModelDidNotFinishIsAFailure(t *testing.T) {
	for name, env := range map[string]string{
		"it arrives as an empty answer":    "ENGINE_CALLS=",
		"it arrives with broken arguments": "ENGINE_CALLS=raw",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, env)
			if a := w.chat(t, "worker", "Broken call for Oslo."); a.Status != http.StatusBadGateway || a.Code != "truncated" {
				t.Errorf("got %+v", a)
			}
			if calls := w.desk.asked(); len(calls) > 0 {
				t.Errorf("calls %q", calls)
			}
		})
	}
}

func TestAPromptThatTheEngineCutSilentlyIsAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.chat(t, "talker", strings.Repeat("Say cat. ", 1500)+count); a.Status != http.StatusUnprocessableEntity || a.Code != "context_overflow" {
		t.Errorf("got %+v", a)
	}
}

func TestAnAnswerIsGivenOnceThoughAkWasKilledInTheMiddleOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ENGINE_HOLD=10")
	turn := text(t, w.stream(t, "talker", count))
	w.kill(t)
	w.serve(t)
	if a := w.chat(t, "talker", count); a.Status != http.StatusOK || a.Turn != turn || a.Result != forty {
		t.Errorf("got %+v", a)
	}
	res := w.do(t, http.MethodGet, "/api/v1/sessions/s/messages", http.Header{}, nil)
	var talk struct{ Messages []struct{ Role string } }
	if err := json.NewDecoder(res.Body).Decode(&talk); err != nil {
		t.Fatal(err)
	}
	if len(talk.Messages) != 2 || talk.Messages[0].Role != "user" || talk.Messages[1].Role != "assistant" {
		t.Errorf("the conversation is %+v", talk.Messages)
	}
}
