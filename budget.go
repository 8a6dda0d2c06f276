package agentkernel

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// A turn has limits on model calls, attempts, tokens, money and running time. They are those of the agent that was
// asked, and sub-agents and agents that the conversation is handed to use them up with it. Before a model call that
// would begin in the last fifth of any of them, the model is asked to come to an end: its tools are withheld and its
// instructions say why. The reply then says that it is less than it could have been. A turn that uses a limit up
// altogether fails. What is used is what the journal holds, so that a takeover does not start the count anew.

const (
	defaultRepeats = 3
	wrapUpAt       = 0.8
)

// usage is what a turn has used.
type usage struct {
	steps, attempts int
	tokens, cost    int64
}

// usageOf counts what the journal holds. What a retry inherited costs it steps, but neither tokens nor money.
func usageOf(t *session.Turn) usage {
	u := usage{tokens: t.Input + t.Output, cost: t.Cost}
	for _, st := range t.Steps {
		if st.Result != nil && st.Result.Kind == session.ModelStep {
			u.steps++
			u.attempts += st.Result.Attempts
		}
	}
	return u
}

// spend counts a model step that has just ended.
func (t *Turn) spend(r *session.StepResult) {
	t.shared.Lock()
	defer t.shared.Unlock()
	t.used.steps++
	t.used.attempts += r.Attempts
	t.used.tokens += r.Input + r.Output
	t.used.cost += r.Cost
}

// limit is one bound and how much of it is used, both in the unit that people read.
type limit struct {
	name      string
	used, max float64
	whole     bool // counted, so that the last one is known beforehand
}

func (l limit) gone() bool { return l.max > 0 && l.used >= l.max }

func (l limit) nearlyGone() bool {
	if l.max <= 0 {
		return false
	}
	at := wrapUpAt * l.max
	if l.whole {
		at = min(math.Ceil(at), l.max-1)
	}
	return l.used >= at
}

func (l limit) String() string {
	return fmt.Sprintf("%s: %s of %s are used", l.name, short(l.used), short(l.max))
}

func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (t *Turn) limitsNow() []limit {
	t.shared.Lock()
	u := t.used
	t.shared.Unlock()
	l := t.limits
	ran := (t.ran + time.Since(t.began)).Round(time.Millisecond)
	return []limit{
		{"limits.steps", float64(u.steps), float64(l.Steps), true},
		{"limits.attempts", float64(u.attempts), float64(l.Attempts), true},
		{"limits.tokens", float64(u.tokens), float64(l.Tokens), false},
		{"limits.money (dollars)", float64(u.cost) / 1e6, l.Money, false},
		{"limits.wall (seconds)", ran.Seconds(), l.Wall.Seconds(), false},
	}
}

// budget says before a model call whether the turn may go on (an error if not), and because of which limit it has to
// come to an end (empty if it has not).
func (t *Turn) budget() (wrap string, err error) {
	for _, l := range t.limitsNow() {
		if l.gone() {
			return "", fault.New(fault.Budget, "", "the turn is at its limit; %s", l).
				WithTry("raise %s of agent %s if its work needs more", l.name, t.agent.Name)
		}
		if wrap == "" && l.nearlyGone() {
			wrap = l.String()
		}
	}
	return wrap, nil
}

// cost is what an answer costs, in millionths of a dollar: dollars per million tokens are that per token.
func (k *Kernel) cost(name string, u model.Usage) int64 {
	p := k.cfg.ModelInfo[name]
	cached := p.Cached
	if cached == 0 {
		cached = p.Input
	}
	return int64(math.Ceil(float64(u.Input-u.Cached)*p.Input + float64(u.Cached)*cached + float64(u.Output)*p.Output))
}

// rounds remembers what the model wanted done, round after round, and what came of it.
type rounds []string

// loops reports that the last rounds are repeats of one to three rounds, with the same calls and the same results each
// time: nothing new will come of another one.
func (r rounds) loops(repeats int) bool {
	for period := 1; period <= 3; period++ {
		n := period * repeats
		if len(r) < n {
			return false
		}
		last, same := r[len(r)-n:], true
		for i := period; i < n && same; i++ {
			same = last[i] == last[i-period]
		}
		if same {
			return true
		}
	}
	return false
}

// round is a name for what was wanted and what came of it, whatever ids the provider gave the calls.
func round(calls []model.Call, results []model.Message) string {
	said := make([]string, 0, 3*len(calls))
	for i, c := range calls {
		r := results[i].Parts[0].Result
		said = append(said, c.Name, string(c.Args), r.Content+r.Digest)
	}
	return digest(said)
}
