package modeltest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/model/modeltest"
	"github.com/agentkernel/agentkernel/model/openai"
)

const secret = "sk-test-0123456789abcdef"

type generate func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error)

func (g generate) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	return g(ctx, req, emit)
}

// harness wraps a provider that keeps the contract in one that breaks it.
func harness(breakIt func(good model.Provider) generate) modeltest.Harness {
	return modeltest.Harness{Secret: secret, New: func(baseURL string) (model.Provider, error) {
		good, err := openai.New(openai.Config{APIKey: secret, BaseURL: baseURL})
		if err != nil || breakIt == nil {
			return good, err
		}
		return &closing{breakIt(good), good}, nil
	}}
}

type closing struct {
	generate
	good *openai.Provider
}

func (c *closing) Close() error { return c.good.Close() }

// broken is a way to break the contract, and what the suite is to say about it.
type broken struct {
	name  string
	spoil func(good model.Provider) generate
	want  map[string]string // case to a part of the violation
}

// The suite is itself tested by mutation: each broken provider must be caught in the cases that are about its fault.
func TestTheSuiteCatchesBrokenProviders(t *testing.T) {
	var wg sync.WaitGroup // of goroutines that a broken provider leaves behind
	release := make(chan struct{})
	defer wg.Wait()
	defer close(release)
	leave := func() { wg.Go(func() { <-release }) }
	for _, c := range slices.Concat(brokenAnswers(), brokenErrors(), brokenHabits(leave)) {
		t.Run(c.name, func(t *testing.T) {
			got := modeltest.Violations(harness(c.spoil), c.want)
			for name, part := range c.want {
				if !strings.Contains(strings.Join(got[name], "\n"), part) {
					t.Errorf("%s: got %q, want %q", name, got[name], part)
				}
			}
		})
	}
}

func brokenAnswers() []broken {
	return []broken{
		{"retries", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				if a, err := good.Generate(ctx, req, nil); err == nil {
					return a, nil
				}
				return good.Generate(ctx, req, emit)
			}
		}, map[string]string{
			"connection reset":                      "2 requests",
			"cut after 1 chunks":                    "2 requests",
			"an empty answer":                       "2 requests",
			"hint seconds":                          "2 requests",
			"text comes in order and is the answer": "the emitted pieces",
		}},
		{"trusts an end without a finish reason", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				var text strings.Builder
				a, err := good.Generate(ctx, req, func(c model.Chunk) { text.WriteString(c.Text); call(emit, c) })
				if fault.KindOf(err) == fault.Truncated {
					return &model.Answer{Model: "m", Finish: model.FinishStop, Message: model.Message{
						Role: model.Assistant, Parts: []model.Part{{Text: text.String()}},
					}}, nil
				}
				return a, err
			}
		}, map[string]string{
			"cut after 0 chunks": "want a failure of kind truncated", "cut after 7 chunks": "want a failure",
			"ended after 3 chunks": "want a failure", "an empty answer": "want a failure",
			"an unfinished tool call": "want a failure", "closed without a finish reason": "want a failure",
			"a malformed chunk and then the end": "want a failure",
		}},
	}
}

func brokenErrors() []broken {
	return []broken{
		{"knows one kind", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				a, err := good.Generate(ctx, req, emit)
				if err != nil {
					err = fault.New(fault.Transient, "", "failed")
				}
				return a, err
			}
		}, map[string]string{
			"status Too Many Requests insufficient_quota You exceeded your current quota": "want quota",
			"hint seconds":       "the hint in Error.After is 0s",
			"cancel in the text": "want cancelled", "an answer that ends with content_filter": "want refused",
			"an error in the stream at 3: insufficient_quota no money": "want quota",
		}},
		{"returns plain errors with the key", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				a, err := good.Generate(ctx, req, emit)
				if err != nil {
					err = fmt.Errorf("failed: %w", errors.Join(err, errors.New(secret)))
				}
				return a, err
			}
		}, map[string]string{"the credential is in no error's text": "contains the credential", "connection reset": "want a *fault.Error"}},
		{"ignores its context", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				return good.Generate(context.WithoutCancel(ctx), req, emit)
			}
		}, map[string]string{"cancelled before the call": "want a failure of kind cancelled"}},
	}
}

func brokenHabits(leave func()) []broken {
	return []broken{
		{"emits late, empty and at once", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				a, err := good.Generate(ctx, req, func(c model.Chunk) {
					var both sync.WaitGroup
					for range 20 {
						both.Go(func() { call(emit, c) })
					}
					both.Wait()
				})
				call(emit, model.Chunk{})
				return a, err
			}
		}, map[string]string{"text comes in order and is the answer": "two goroutines at once", "the closing event is missing": "an empty text"}},
		{"leaves a goroutine", func(good model.Provider) generate {
			return func(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
				leave()
				return good.Generate(ctx, req, emit)
			}
		}, map[string]string{"text comes in order and is the answer": "left behind"}},
		{"panics", func(model.Provider) generate {
			return func(context.Context, *model.Request, func(model.Chunk)) (*model.Answer, error) { panic("oh") }
		}, map[string]string{"usage is passed on": "panicked: oh"}},
		{"returns nothing", func(model.Provider) generate {
			return func(context.Context, *model.Request, func(model.Chunk)) (*model.Answer, error) { return nil, nil }
		}, map[string]string{"usage is passed on": "want exactly one", "connection refused": "want exactly one"}},
	}
}

func call(emit func(model.Chunk), c model.Chunk) {
	if emit != nil {
		emit(c)
	}
}

func TestTheSuiteHasNoComplaintAboutAGoodProvider(t *testing.T) {
	got := modeltest.Violations(harness(nil), nil)
	for name, violations := range got {
		t.Errorf("%s: %q", name, violations)
	}
}

func TestEveryCaseHasItsOwnName(t *testing.T) {
	for _, f := range modeltest.Formats() {
		names := modeltest.CaseNames(f)
		sorted := slices.Compact(slices.Sorted(slices.Values(names)))
		if len(sorted) != len(names) || len(names) < 80 {
			t.Errorf("%s: %d cases have %d names", f, len(names), len(sorted))
		}
	}
}
