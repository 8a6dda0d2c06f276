package sessiontest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

var sharedChecks = []check{
	{name: "beats create and replace a replica's entry", run: checkBeats},
	{name: "hints are replaced by name and listed by prefix", run: checkHints},
	{name: "hints whose time has passed are not listed", run: checkHintEnd},
	{name: "format and generation are set and the same for every handle", run: checkMeta},
	{name: "a raised generation is higher, and every handle sees it", run: checkRaise},
	{name: "what a store can lose is declared", run: checkDurability},
	{name: "a second handle sees at once what the first one wrote", run: checkSecond, needs: shared},
	{name: "the guard holds across handles", run: checkSecondGuard, needs: shared},
	{name: "a watcher hears of changes by others", run: checkWatch},
}

// replicas lists the entries as "id=counter info", in the order of ids.
func (r *run) replicas(s session.Store) map[string]string {
	all, err := s.Replicas(r.ctx)
	r.need(err, "Replicas")
	out := map[string]string{}
	for _, rep := range all {
		r.want(out[rep.ID] == "", "replica %s is listed twice", rep.ID)
		out[rep.ID] = fmt.Sprintf("%d %s", rep.Counter, rep.Info)
	}
	return out
}

func checkBeats(r *run) {
	want := func(expect map[string]string, when string) {
		got := r.replicas(r.second())
		r.want(fmt.Sprint(got) == fmt.Sprint(expect), "%s: replicas are %v, want %v", when, got, expect)
	}
	want(map[string]string{}, "at first")
	beat := func(name string, counter uint64, info string) {
		r.need(r.s.Beat(r.ctx, session.Replica{ID: name, Counter: counter, Info: json.RawMessage(info)}), "beat of %s", name)
	}
	beat("r1", 1, `{"v":"é"}`)
	beat("r2", big, "")
	want(map[string]string{"r1": `1 {"v":"é"}`, "r2": fmt.Sprintf("%d ", uint64(big))}, "after two beats")
	beat("r1", 2, `{"v":2}`)
	want(map[string]string{"r1": `2 {"v":2}`, "r2": fmt.Sprintf("%d ", uint64(big))}, "after a third")
	r.need(r.s.Leave(r.ctx, "r1"), "leave")
	r.need(r.s.Leave(r.ctx, "r1"), "leave again")
	want(map[string]string{"r2": fmt.Sprintf("%d ", uint64(big))}, "after one left")
	beat("r1", 1, "")
	want(map[string]string{"r1": "1 ", "r2": fmt.Sprintf("%d ", uint64(big))}, "after it came back")
}

func (r *run) wantHints(prefix, want string) {
	hints, err := r.second().Hints(r.ctx, prefix)
	r.need(err, "Hints")
	got := map[string]bool{}
	for _, h := range hints {
		got[h.Name+"="+string(h.Value)] = true
	}
	ok := len(got) == len(hints) && len(hints) == len(strings.Fields(want))
	for _, w := range strings.Fields(want) {
		ok = ok && got[w]
	}
	r.want(ok, "Hints(%q) returned %v, want %s", prefix, got, want)
}

func (r *run) hint(name, value string, until time.Time) {
	r.need(r.s.PutHint(r.ctx, session.Hint{Name: name, Value: []byte(value), Until: session.Millis(until.UnixMilli())}), "put hint %s", name)
}

func checkHints(r *run) {
	end := time.Now().Add(time.Hour)
	for _, name := range []string{"breaker/a", "breaker/b", "breakers", "quota/a", "qu_ta/a", "qu*ta", "[q]"} {
		r.hint(name, "1", end)
	}
	r.hint("breaker/a", "2", end)
	r.wantHints("breaker/", "breaker/a=2 breaker/b=1")
	r.wantHints("", "breaker/a=2 breaker/b=1 breakers=1 quota/a=1 qu_ta/a=1 qu*ta=1 [q]=1")
	r.wantHints("qu_", "qu_ta/a=1")
	r.wantHints("qu*", "qu*ta=1")
	r.wantHints("[", "[q]=1")
	r.wantHints("Breaker", "")
	r.wantHints("%", "")
	hints, err := r.s.Hints(r.ctx, "quota/")
	r.need(err, "Hints")
	r.want(len(hints) == 1 && hints[0].Until == session.Millis(end.UnixMilli()), "a hint's end is not what was put: %+v", hints)
}

func checkHintEnd(r *run) {
	now := time.Now()
	r.hint("past", "1", now.Add(-time.Hour))
	r.hint("future", "1", now.Add(time.Hour))
	r.hint("shortened", "1", now.Add(time.Hour))
	r.hint("shortened", "2", now.Add(-time.Hour))
	r.hint("prolonged", "1", now.Add(-time.Hour))
	r.hint("prolonged", "2", now.Add(time.Hour))
	r.wantHints("", "future=1 prolonged=2")
	r.need(r.s.Beat(r.ctx, session.Replica{ID: "r"}), "beat") // stores tidy up on beats
	r.wantHints("", "future=1 prolonged=2")
}

func checkMeta(r *run) {
	m, err := r.s.Meta(r.ctx)
	r.need(err, "Meta")
	r.want(m.Format > 0 && m.Generation > 0 && m.Buckets > 0, "Meta is %+v, want a format, a generation and a number of buckets", m)
	again, err := r.second().Meta(r.ctx)
	r.want(err == nil && again == m, "another handle's Meta is %+v, %v, want %+v", again, err, m)
}

func checkRaise(r *run) {
	two := r.second()
	was, err := r.s.Meta(r.ctx)
	r.need(err, "Meta")
	for range 2 {
		r.need(r.s.RaiseGeneration(r.ctx), "RaiseGeneration")
		m, err := two.Meta(r.ctx)
		r.want(err == nil && m.Generation > was.Generation, "the generation was %d, raised it is %d, %v", was.Generation, m.Generation, err)
		was.Generation = m.Generation
		r.want(m == was, "raising the generation changed Meta to %+v, it was %+v", m, was)
	}
}

func checkDurability(r *run) {
	d := r.s.Durability()
	r.want(d.Level != "", "the level has no name")
	r.want(d.Store != "", "the store has no name")
	for _, f := range d.Faults() {
		switch f.Loses {
		case session.LosesNothing:
			r.want(f.Shown != "", "nothing is said to be lost in a %s, and nothing is said to show it", f.Fault)
		case session.LosesRecent, session.LosesAll, session.NotCovered, session.CannotHappen:
			r.want(true, "")
		default:
			r.want(false, "what a %s costs is declared as %q", f.Fault, f.Loses)
		}
	}
	r.want(!r.h.Durable || d.ProcessCrash.Loses != session.LosesAll, "the harness says durable, the store says that a process crash loses all")
	r.want(!r.h.Durable || d.AppendWrites > 0, "a durable store declares %d writes per append", d.AppendWrites)
	r.want(d.AppendReadBacks >= 0 && d.AppendWrites >= 0, "the declared cost is negative: %+v", d)
}

func checkSecond(r *run) {
	key, next, two := id("a"), session.Attention{Due: 5, Expiry: 5}, r.second()
	var at session.Position
	for range 20 {
		at, _ = r.grow(key, at, 1, next)
		r.wantHead(two, key, at, next, "at the second handle")
	}
	at, all := r.furnish(id("b"), session.Position{}, next)
	r.wantFurnished(two, id("b"), all, next, "at the second handle")
	r.erased(id("b"), at)
	r.wantErased(two, id("b"), 1, "at the second handle")
}

func checkSecondGuard(r *run) {
	key, two := id("a"), r.second()
	at, _ := r.grow(key, session.Position{}, 1, session.Attention{})
	mine, his := record(at, "mine"), record(at, "his")
	r.need(two.Append(r.ctx, key, at, his, session.Attention{}), "append through the second handle")
	r.wantErr(r.s.Append(r.ctx, key, at, mine, session.Attention{}), session.ErrConflict, "append where the second handle has appended")
	r.wantErr(r.s.Erase(r.ctx, key, at, session.Tombstone{}), session.ErrConflict, "erase where the second handle has appended")
	r.wantHead(r.s, key, his.Position(), session.Attention{}, "at the first handle")
	r.need(two.Erase(r.ctx, key, his.Position(), session.Tombstone{Until: farFuture}), "erase through the second handle")
	r.wantErr(r.s.Append(r.ctx, key, his.Position(), record(his.Position(), "late"), session.Attention{}), session.ErrConflict, "append where the second handle has erased")
	r.want(r.head(r.s, key).Life == 1 && r.head(r.s, key).Len == 0, "at the first handle the erased head is %s", show(r.head(r.s, key)))
}
