package agentkernel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/scripted"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

const panicCanary = "cnry-5f0c-in-a-panic"

// kept is a log that is looked into afterwards.
type kept struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (k *kept) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all.Write(b)
}

type providerFunc func() (*model.Answer, error)

func (f providerFunc) Generate(context.Context, *model.Request, func(model.Chunk)) (*model.Answer, error) {
	return f()
}

// TestASecretInAPanicIsNowhere has code that is not the kernel's panic with a secret, as an error and as a text, wherever
// there is such code, and looks for it in the log, the journal and the error.
func TestASecretInAPanicIsNowhere(t *testing.T) {
	values := map[string]any{"text": "key " + panicCanary, "error": fmt.Errorf("dial with %w", errors.New(panicCanary)), "struct": struct{ Key string }{panicCanary}}
	for name, v := range values {
		crash := func() { panic(v) }
		for where, change := range map[string]func(c *agentkernel.Config, a *agentkernel.Agent){
			"provider": func(c *agentkernel.Config, _ *agentkernel.Agent) {
				c.Models["offline"] = providerFunc(func() (*model.Answer, error) { crash(); return nil, nil })
			},
			"tool": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Tools[0].Call = func(context.Context, agentkernel.ToolCall) (string, error) { crash(); return "", nil }
			},
			"reconcile": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Tools[0].Effect, a.Tools[0].OnDoubt = session.AtMostOnce, agentkernel.Tell
				a.Tools[0].Call = func(context.Context, agentkernel.ToolCall) (string, error) {
					return "", agentkernel.Unclear(errors.New("who knows"))
				}
				a.Tools[0].Reconcile = func(context.Context, agentkernel.ToolCall) (f agentkernel.Finding, err error) { crash(); return }
			},
			"hook before": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Hooks = []agentkernel.Hook{{Name: "h", Before: func(context.Context, *agentkernel.Turn) (v agentkernel.Verdict, err error) { crash(); return }}}
			},
			"hook after": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Hooks = []agentkernel.Hook{{Name: "h", After: func(_ context.Context, _ *agentkernel.Turn, r agentkernel.Reply) (agentkernel.Reply, error) {
					crash()
					return r, nil
				}}}
			},
			"runner": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Runner = agentkernel.RunnerFunc(func(context.Context, *agentkernel.Turn) (r agentkernel.Reply, err error) { crash(); return })
			},
			"step": func(_ *agentkernel.Config, a *agentkernel.Agent) {
				a.Runner = agentkernel.RunnerFunc(func(ctx context.Context, turn *agentkernel.Turn) (r agentkernel.Reply, err error) {
					_, err = turn.Step(ctx, "own", func(context.Context) (any, error) { crash(); return nil, nil })
					return r, err
				})
			},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { panics(t, change) })
			})
		}
	}
}

func panics(t *testing.T, change func(*agentkernel.Config, *agentkernel.Agent)) {
	ctx := context.Background()
	offline, err := scripted.New(scripted.Config{})
	if err != nil {
		t.Fatal(err)
	}
	weather := agentkernel.NewTool("get_weather", "Tell the weather", func(context.Context, struct{ City string }) (string, error) {
		return "sunny", nil
	}, agentkernel.ReadOnly())
	var out kept
	a := &agentkernel.Agent{Name: "a", Model: "offline/demo", Tools: []*agentkernel.Tool{weather}}
	c := agentkernel.Config{
		Models: map[string]model.Provider{"offline": offline}, Agents: []*agentkernel.Agent{a}, AcceptLoss: true,
		Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	change(&c, a)
	k, err := agentkernel.Open(ctx, memory.New(), c)
	if err != nil {
		t.Fatal(err)
	}
	h, err := k.Start(ctx, agentkernel.Request{Session: "s", Prompt: "weather in Lisbon"})
	if err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	reply, err := h.Wait(within)
	if err == nil && reply.Text == "The weather in Lisbon: sunny" {
		t.Error("nothing panicked")
	}
	records, jerr := k.Journal(ctx, session.Key{ID: "s"}, 0, 1000)
	if jerr != nil || len(records) < 2 {
		t.Errorf("%d records, %v", len(records), jerr)
	}
	_ = k.Close()
	journal := ""
	for _, r := range records {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		journal += string(b)
	}
	for where, text := range map[string]string{"log": out.all.String(), "journal": journal, "error": fmt.Sprintf("%v %+v %+v", err, err, reply)} {
		if bytes.Contains([]byte(text), []byte(panicCanary)) {
			t.Errorf("the secret is in the %s: %s", where, text)
		}
	}
}
