package sessiontest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/agentkernel/agentkernel/session"
)

// verb is what a call of a history does.
type verb int

const (
	reads    verb = iota // Read
	looks                // Heads, as far as one session is concerned
	appends              // Append
	erases               // Erase
	finishes             // the Read after everything
)

func (v verb) String() string {
	return [...]string{"read", "head", "append", "erase", "last read"}[v]
}

// step is one call of a history.
type step struct {
	verb  verb
	key   session.Key
	at    session.Position  // the guard of a write
	rec   session.Record    // of an append
	next  session.Attention // of an append
	after uint64            // of a read
	limit int               // of a read
}

// answer is what a write said. Writes that were not sent are not in a history.
type answer int

const (
	won answer = iota
	refused
	unknown
)

func (a answer) String() string { return [...]string{"done", "conflict", "unknown"}[a] }

// outcome is what a call answered.
type outcome struct {
	answer answer  // of a write
	seen   journal // by a read; heads have no ids
}

// journal is the model's state of one session: its head, and the ids of its records, idWidth characters each.
type journal struct {
	at   session.Position
	next session.Attention
	ids  string
}

const idWidth = 2*16 + 1 // as record makes them, and a space

func idsOf(records []session.Record) string {
	var b strings.Builder
	for _, rec := range records {
		b.WriteString(rec.ID + " ")
	}
	return b.String()
}

// part is what a read of j sees.
func (j journal) part(after uint64, limit int) journal {
	from := min(int(after)*idWidth, len(j.ids))
	j.ids = j.ids[from:]
	if limit > 0 {
		j.ids = j.ids[:min(limit*idWidth, len(j.ids))]
	}
	return j
}

// behind is the state that a write leaves.
func (j journal) behind(in step) journal {
	if in.verb == erases {
		return journal{at: session.Position{Life: in.at.Life}}
	}
	return journal{at: in.rec.Position(), next: in.next, ids: j.ids + in.rec.ID + " "}
}

// model is the contract of Append, Erase, Read and Heads, for one session. A write whose outcome is unknown has no end: it
// may stand behind everything else, where it is free to do what it likes, so that it need not be said anywhere that it
// may also never happen.
var model = porcupine.Model{
	Init: func() any { return journal{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(journal), input.(step), output.(outcome)
		switch in.verb {
		case reads, finishes:
			return out.seen == now.part(in.after, in.limit), now
		case looks:
			return out.seen.at == now.at && out.seen.next == now.next, now
		}
		fits := now.at == in.at
		switch {
		case out.answer == refused:
			return !fits, now
		case fits:
			return true, now.behind(in)
		}
		return out.answer == unknown, now
	},
	DescribeOperation: func(input, output any) string { return describe(input.(step), output.(outcome)) },
}

// explain looks for an order of the calls about one session that explains their answers, and returns what is wrong, or
// nothing. The time of the search is bounded.
func explain(key session.Key, ops []porcupine.Operation, search time.Duration) string {
	ops = withoutIdle(ops)
	switch porcupine.CheckOperationsTimeout(model, ops, search) {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("session %s: the search for an order of %d calls did not end within %s; nothing is known about them", key, len(ops), search)
	}
	_, info := porcupine.CheckOperationsVerbose(model, ops, search)
	placed := map[string]bool{}
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(placed) {
				clear(placed)
				for _, op := range order {
					placed[line(op)] = true
				}
			}
		}
	}
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(min(max(a.Call-b.Call, -1), 1)) })
	var b strings.Builder
	fmt.Fprintf(&b, "session %s: no order of its %d calls explains their answers; those marked ! are not in the longest one found:", key, len(ops))
	for _, op := range ops {
		mark := " "
		if !placed[line(op)] {
			mark = "!"
		}
		b.WriteString("\n  " + mark + " " + line(op))
	}
	return b.String()
}

// withoutIdle leaves out the appends of unknown outcome whose record is not there at the end: up to then they have had no
// effect. It needs the last read, and must not be used where sessions are erased.
func withoutIdle(ops []porcupine.Operation) []porcupine.Operation {
	last := slices.IndexFunc(ops, func(op porcupine.Operation) bool { return op.Input.(step).verb == finishes })
	if last < 0 {
		return slices.Clone(ops)
	}
	there := ops[last].Output.(outcome).seen.ids
	var out []porcupine.Operation
	for _, op := range ops {
		in := op.Input.(step)
		if in.verb == appends && op.Output.(outcome).answer == unknown && !strings.Contains(there, in.rec.ID) {
			continue
		}
		out = append(out, op)
	}
	return out
}

// line is a call as a failure shows it; no two of one history are alike.
func line(op porcupine.Operation) string {
	end := "       never"
	if op.Return != math.MaxInt64 {
		end = fmt.Sprintf("%9.3f ms", float64(op.Return)/1e6)
	}
	return fmt.Sprintf("%9.3f ms to %s client %2d %s", float64(op.Call)/1e6, end, op.ClientId, describe(op.Input.(step), op.Output.(outcome)))
}

func describe(in step, out outcome) string {
	head := func(at session.Position, next session.Attention) string {
		return fmt.Sprintf("%d.%d:%.6s owner %q epoch %d due %d", at.Life, at.Len, at.LastID, next.Owner, next.Epoch, next.Due)
	}
	switch in.verb {
	case appends:
		return fmt.Sprintf("append %.6s at %d.%d:%.6s owner %q epoch %d -> %s", in.rec.ID, in.at.Life, in.at.Len, in.at.LastID, in.next.Owner, in.next.Epoch, out.answer)
	case erases:
		return fmt.Sprintf("erase at %d.%d:%.6s -> %s", in.at.Life, in.at.Len, in.at.LastID, out.answer)
	case looks:
		return fmt.Sprintf("head -> %s", head(out.seen.at, out.seen.next))
	}
	var ids []string
	for _, id := range strings.Fields(out.seen.ids) {
		ids = append(ids, id[:min(6, len(id))])
	}
	return fmt.Sprintf("%s after %d limit %d -> %s %v", in.verb, in.after, in.limit, head(out.seen.at, out.seen.next), ids)
}
