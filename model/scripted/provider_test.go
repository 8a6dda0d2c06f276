package scripted_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
)

func provider(t *testing.T, cfg scripted.Config) *scripted.Provider {
	t.Helper()
	p, err := scripted.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheStreamedPiecesAreTheAnswer(t *testing.T) {
	p := provider(t, scripted.Config{})
	var got []string
	a, err := p.Generate(t.Context(), ask("tell me more"), func(c model.Chunk) { got = append(got, c.Text) })
	if err != nil || strings.Join(got, "") != a.Message.Text() || len(got) < 3 {
		t.Errorf("got %q, %v, %v", got, a, err)
	}
	if _, err := p.Generate(t.Context(), ask("x"), nil); err != nil || p.Calls() != 2 {
		t.Errorf("without emit: %v, %d calls", err, p.Calls())
	}
}

func TestThePaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provider(t, scripted.Config{Pace: time.Second})
		start := time.Now()
		if _, err := p.Generate(t.Context(), ask("a b"), nil); err != nil { // "You said: a b"
			t.Fatal(err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("four pieces took %s", took)
		}
	})
}

func TestFaultsActOnTheCallsTheyName(t *testing.T) {
	faults := scripted.Faults{
		"m": {
			{Contains: "second", Nth: 2, Kind: fault.Overloaded},
			{Contains: "burst", Times: 2, Kind: fault.Throttled, After: scripted.Duration(3 * time.Second)},
			{Contains: "later", Nth: 2, Times: 2, Kind: fault.Transient},
		},
		scripted.AnyModel: {{Contains: "always", Kind: fault.Auth}},
	}
	cases := []struct {
		text string
		want []fault.Kind
	}{
		{"second", []fault.Kind{"", fault.Overloaded, "", ""}},
		{"burst", []fault.Kind{fault.Throttled, fault.Throttled, "", ""}},
		{"later", []fault.Kind{"", fault.Transient, fault.Transient, ""}},
		{"always", []fault.Kind{fault.Auth, fault.Auth, fault.Auth}},
		{"other", []fault.Kind{"", ""}},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			p := provider(t, scripted.Config{Faults: faults})
			for i, want := range c.want {
				_, err := p.Generate(t.Context(), ask(c.text), nil)
				if fault.KindOf(err) != want {
					t.Errorf("call %d: got %v, want kind %q", i+1, err, want)
				}
				if want == fault.Throttled && fault.After(err) != 3*time.Second {
					t.Errorf("call %d: the hint is %s", i+1, fault.After(err))
				}
			}
			other := ask(c.text)
			other.Model = "other"
			if _, err := p.Generate(t.Context(), other, nil); (err == nil) == (c.text == "always") {
				t.Errorf("another model: %v", err)
			}
		})
	}
}

func TestAFaultMayStreamSomethingFirst(t *testing.T) {
	p := provider(t, scripted.Config{Faults: scripted.Faults{"m": {{Chunks: 2, Kind: fault.Truncated}}}})
	var got strings.Builder
	_, err := p.Generate(t.Context(), ask("a b"), func(c model.Chunk) { got.WriteString(c.Text) })
	if fault.KindOf(err) != fault.Truncated || got.String() != "You said: " {
		t.Errorf("got %q, %v", got.String(), err)
	}
}

func TestBlockedAndWaitingCallsEndWithTheirContext(t *testing.T) {
	cause := errors.New("drained")
	for name, cfg := range map[string]scripted.Config{
		"block": {Faults: scripted.Faults{"m": {{Block: true}}}},
		"wait":  {Faults: scripted.Faults{"m": {{Wait: scripted.Duration(time.Hour)}}}},
		"pace":  {Pace: time.Hour},
		"before": {Before: func(ctx context.Context, _ *model.Request) error {
			<-ctx.Done()
			return ctx.Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := provider(t, cfg)
				ctx, cancel := context.WithCancelCause(t.Context())
				done := make(chan error, 1)
				go func() {
					_, err := p.Generate(ctx, ask("x"), nil)
					done <- err
				}()
				synctest.Wait()
				cancel(cause)
				if err := <-done; fault.KindOf(err) != fault.Cancelled || !errors.Is(err, cause) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestAWaitIsFollowedByTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provider(t, scripted.Config{Faults: scripted.Faults{"m": {{Wait: scripted.Duration(time.Minute)}}}})
		start := time.Now()
		if _, err := p.Generate(t.Context(), ask("x"), nil); err != nil || time.Since(start) != time.Minute {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestTheHookSeesTheRequestAndMayFailIt(t *testing.T) {
	p := provider(t, scripted.Config{Before: func(_ context.Context, req *model.Request) error {
		return fault.New(fault.Quota, "", "no %s", req.Messages[0].Text()).WithAfter(time.Hour)
	}})
	_, err := p.Generate(t.Context(), ask("money"), nil)
	if fault.KindOf(err) != fault.Quota || fault.After(err) != time.Hour || !strings.Contains(err.Error(), "no money") {
		t.Errorf("got %v", err)
	}
}

func TestMistakesInFaultsAreNamed(t *testing.T) {
	_, err := scripted.New(scripted.Config{Faults: scripted.Faults{
		"a": {{Kind: "bad luck"}, {Nth: -1, Kind: fault.Auth}, {}},
		"b": {{Block: true, Kind: fault.Auth}, {Wait: 1, After: 1}, {Wait: 1, Chunks: 1}},
	}})
	for _, want := range []string{
		`faults["a"][0].kind: "bad luck"`, `faults["a"][1].nth`, `faults["a"][2].has no effect`,
		`faults["b"][0].kind`, `faults["b"][1].retry_after`, `faults["b"][2].after_chunks`,
	} {
		if fault.KindOf(err) != fault.Config || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestABadScriptIsRefused(t *testing.T) {
	if _, err := scripted.New(scripted.Config{Script: &scripted.Script{Rules: []scripted.Rule{{}}}}); err == nil {
		t.Error("it was taken")
	}
}
