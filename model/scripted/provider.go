package scripted

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// Config of a Provider. The zero value plays the built-in script, at once and without faults.
type Config struct {
	Script *Script       // nil: the built-in script
	Faults Faults        // nil: none
	Pace   time.Duration // pause before each streamed piece

	// Before, if not nil, is called at the start of every call, before the faults. A test can count, record or hold
	// the call there; an error that it returns is the call's failure. It shall return when ctx ends.
	Before func(ctx context.Context, req *model.Request) error
}

// Provider answers from a script. It is safe for concurrent use.
type Provider struct {
	player *Player
	faults *counter
	pace   time.Duration
	before func(context.Context, *model.Request) error
	calls  atomic.Int64
}

var _ model.Provider = (*Provider)(nil)

// New checks cfg. The error is of kind fault.Config and names everything that is wrong with the script, or with the
// faults.
func New(cfg Config) (*Provider, error) {
	p := &Provider{pace: cfg.Pace, before: cfg.Before}
	if cfg.Script == nil {
		p.player = DefaultPlayer()
	} else {
		player, err := NewPlayer(*cfg.Script)
		if err != nil {
			return nil, err
		}
		p.player = player
	}
	faults, err := newCounter(cfg.Faults)
	if err != nil {
		return nil, err
	}
	p.faults = faults
	return p, nil
}

// Calls is how often Generate was called.
func (p *Provider) Calls() int { return int(p.calls.Load()) }

// Generate implements model.Provider. Which answer it gives depends on req only; whether it gives it, on the faults.
func (p *Provider) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	p.calls.Add(1)
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	if p.before != nil {
		if err := p.before(ctx, req); err != nil {
			if ctx.Err() != nil {
				return nil, cancelled(ctx)
			}
			return nil, fault.New(fault.KindOf(err), "scripted.Generate", "%w", err).WithAfter(fault.After(err))
		}
	}
	f := p.faults.next(req)
	if !pause(ctx, time.Duration(f.Wait)) {
		return nil, cancelled(ctx)
	}
	answer := p.player.Answer(req)
	broken := f.Block || f.Kind != ""
	for i, piece := range Pieces(answer.Message.Text()) {
		if broken && i >= f.Chunks {
			break
		}
		if !pause(ctx, p.pace) {
			return nil, cancelled(ctx)
		}
		if emit != nil {
			emit(model.Chunk{Text: piece})
		}
	}
	if f.Block {
		<-ctx.Done()
		return nil, cancelled(ctx)
	}
	if f.Kind != "" {
		return nil, fault.New(f.Kind, "scripted.Generate", "the script says that this call fails: %s", f.Kind).
			WithAfter(time.Duration(f.After))
	}
	return answer, nil
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func cancelled(ctx context.Context) error {
	return fault.New(fault.Cancelled, "scripted.Generate", "the call was cancelled: %w", context.Cause(ctx))
}
