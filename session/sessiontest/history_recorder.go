package sessiontest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/agentkernel/agentkernel/session"
)

// forever is the end of what has none.
const forever = math.MaxInt64

// spell is a fault's time.
type spell struct {
	fault      string
	begin, end int64
}

// recorder keeps what clients do.
type recorder struct {
	cfg   HistoryConfig
	name  string // begins every session's id
	begin time.Time

	mu     sync.Mutex
	ops    map[session.Key][]porcupine.Operation
	order  []session.Key // in which sessions came up
	active []slot
	spans  [][2]int64 // of all calls, those too that are no part of the history
	spells []*spell
	report HistoryReport
	moved  chan struct{} // closed when the report changes; nil while nobody waits
}

// slot is a session that is worked on.
type slot struct {
	key  session.Key
	left int // calls until another one takes its place
}

func newRecorder(cfg HistoryConfig) *recorder {
	r := &recorder{cfg: cfg.filled(), begin: time.Now(), ops: map[session.Key][]porcupine.Operation{}}
	r.name = fmt.Sprintf("history-%d", r.cfg.Seed)
	for range r.cfg.Sessions {
		r.active = append(r.active, r.fresh())
	}
	return r
}

// now is the time since the history began, in ns.
func (r *recorder) now() int64 { return time.Since(r.begin).Nanoseconds() }

func (r *recorder) fresh() slot {
	key := session.Key{ID: fmt.Sprintf("%s-%d", r.name, len(r.order))}
	r.note(key)
	return slot{key, r.cfg.Calls}
}

// note lists a session that is new.
func (r *recorder) note(key session.Key) {
	if _, ok := r.ops[key]; !ok {
		r.ops[key], r.order = nil, append(r.order, key)
	}
}

// pick chooses the session of the next call.
func (r *recorder) pick(rng *rand.Rand) session.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.active[rng.IntN(len(r.active))]
	if s.left--; s.left < 0 {
		*s = r.fresh()
	}
	return s.key
}

// picked are all sessions that are worked on.
func (r *recorder) picked() []session.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]session.Key, len(r.active))
	for i, s := range r.active {
		out[i] = s.key
	}
	return out
}

func (r *recorder) keys() []session.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.order)
}

func (r *recorder) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Problems = append(r.report.Problems, fmt.Sprintf(format, args...))
}

func (r *recorder) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Calls >= r.cfg.AtLeast
}

// ended notes that a call has ended, and what it means. Calls that say nothing have no ops.
func (r *recorder) ended(call int64, count func(*HistoryReport), ops ...porcupine.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		key := op.Input.(step).key
		r.note(key)
		r.ops[key] = append(r.ops[key], op)
	}
	r.spans = append(r.spans, [2]int64{call, r.now()})
	r.report.Calls++
	count(&r.report)
	if r.moved != nil {
		close(r.moved)
		r.moved = nil
	}
}

// struck counts the calls that were under way during a fault.
func (r *recorder) struck() int {
	n := 0
	for _, span := range r.spans {
		if slices.ContainsFunc(r.spells, func(s *spell) bool { return span[0] <= s.end && s.begin <= span[1] }) {
			n++
		}
	}
	return n
}

// compare counts what the last read of a session has of its appends, and what it has not.
func (r *recorder) compare(ops []porcupine.Operation) {
	last := slices.IndexFunc(ops, func(op porcupine.Operation) bool { return op.Input.(step).verb == finishes })
	if last < 0 {
		return
	}
	there := ops[last].Output.(outcome).seen.ids
	for _, op := range ops {
		in := op.Input.(step)
		if in.verb != appends {
			continue
		}
		switch kept := strings.Contains(there, in.rec.ID); {
		case op.Output.(outcome).answer == unknown && kept:
			r.report.Landed++
		case op.Output.(outcome).answer == won && !kept:
			r.report.Lost++
		}
	}
}
