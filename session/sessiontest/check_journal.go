package sessiontest

import (
	"reflect"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

var journalChecks = []check{
	{name: "a session that was never used has a zero head and no records", run: checkUnused},
	{name: "an append moves the head and adds the record", run: checkAppend},
	{name: "the guard compares life, length and last id, each alone", run: checkGuard},
	{name: "the guard of a first append compares life and last id", run: checkFirstGuard},
	{name: "a record that does not follow its position is refused", run: checkMisfit},
	{name: "an append replaces owner, epoch, due and expiry as a whole", run: checkAttention},
	{name: "read returns what lies above a number, up to a limit", run: checkRead},
	{name: "heads are returned in the order of the keys", run: checkHeads},
	{name: "keys with a tenant and with odd characters are told apart", run: checkKeys},
	{name: "records keep their bytes whatever their size", run: checkSizes},
}

func checkUnused(r *run) {
	for _, key := range []session.Key{id("never"), {Tenant: "t", ID: "never"}} {
		want := session.Head{Key: key}
		got := r.head(r.s, key)
		r.want(reflect.DeepEqual(got, want), "head is %s, want %s", show(got), show(want))
		for _, after := range []uint64{0, 7} {
			head, records, err := r.s.Read(r.ctx, key, after, 0)
			r.need(err, "read after %d", after)
			r.want(reflect.DeepEqual(head, want) && len(records) == 0, "read after %d: %s and %s, want the zero head and nothing", after, show(head), list(records))
		}
	}
}

func checkAppend(r *run) {
	key, next := id("a"), session.Attention{Owner: "r1", Epoch: big, Due: 5, Expiry: 9}
	at, first := r.grow(key, session.Position{}, 1, next)
	r.wantHead(r.s, key, at, next, "after the first append")
	r.want(r.head(r.s, key).Updated > 0, "the update time is not set")
	r.wantRecords(r.s, key, 0, first, "after the first append")
	at, more := r.grow(key, at, 3, next)
	r.wantHead(r.s, key, at, next, "after the fourth append")
	r.wantRecords(r.s, key, 0, append(first, more...), "after the fourth append")
	head, records, err := r.s.Read(r.ctx, key, 0, 0)
	r.need(err, "read")
	r.want(reflect.DeepEqual(head, r.head(r.s, key)), "Read's head %s differs from Heads's", show(head))
	r.want(len(records) == 4 && head.Len == 4, "Read returned %d records under a head of length %d", len(records), head.Len)
}

// refused checks that an append at a wrong position conflicts and changes nothing.
func (r *run) refused(key session.Key, wrong session.Position, what string) {
	before := r.head(r.s, key)
	_, records, err := r.s.Read(r.ctx, key, 0, 0)
	r.need(err, "read")
	err = r.s.Append(r.ctx, key, wrong, record(wrong, "intruder"), session.Attention{Owner: "intruder", Epoch: 99, Due: 1, Expiry: 1})
	r.wantErr(err, session.ErrConflict, "append with %s %+v while the head is at %+v", what, wrong, before.Position)
	after := r.head(r.s, key)
	r.want(reflect.DeepEqual(before, after), "append with %s: the head changed from %s to %s", what, show(before), show(after))
	r.wantRecords(r.s, key, 0, records, "after an append with "+what)
}

func checkGuard(r *run) {
	key, next := id("a"), session.Attention{Owner: "r1", Epoch: 1, Due: 5}
	at, _ := r.grow(key, session.Position{}, 1, next)
	at, _ = r.grow(key, r.erased(key, at), 3, next) // life 2, so that there is a life below and one above
	with := func(change func(*session.Position)) session.Position {
		p := at
		change(&p)
		return p
	}
	r.refused(key, with(func(p *session.Position) { p.Life = 1 }), "an older life")
	r.refused(key, with(func(p *session.Position) { p.Life = 3 }), "a newer life")
	r.refused(key, with(func(p *session.Position) { p.Len = 2 }), "a smaller length")
	r.refused(key, with(func(p *session.Position) { p.Len = 4 }), "a greater length")
	r.refused(key, with(func(p *session.Position) { p.LastID = record(at, "other").ID }), "another last id")
	r.refused(key, with(func(p *session.Position) { p.LastID = "" }), "no last id")
	r.refused(key, with(func(p *session.Position) { p.LastID = strings.ToUpper(p.LastID) + "0" }), "a longer last id")
	r.refused(key, session.Position{}, "the zero position")
	r.refused(key, session.Position{Life: 1}, "the position of the erased session")
	r.refused(key, session.Position{Life: 2}, "the position of a session erased in this life")
	r.grow(key, at, 1, next)
}

func checkFirstGuard(r *run) {
	key := id("fresh")
	r.refused(key, session.Position{Life: 1}, "a life that never was")
	r.refused(key, session.Position{LastID: "x"}, "a last id that never was")
	r.refused(key, session.Position{Life: 1, Len: 1, LastID: "x"}, "a record that never was")
	r.grow(key, session.Position{}, 1, session.Attention{})
	r.refused(key, session.Position{}, "the first position, again")
}

func checkMisfit(r *run) {
	key := id("a")
	at, records := r.grow(key, session.Position{}, 2, session.Attention{})
	fit := record(at, "misfit")
	for what, change := range map[string]func(*session.Record){
		"a number too low":  func(rec *session.Record) { rec.Seq-- },
		"a number too high": func(rec *session.Record) { rec.Seq++ },
		"another life":      func(rec *session.Record) { rec.Life++ },
		"no id":             func(rec *session.Record) { rec.ID = "" },
	} {
		rec := fit
		change(&rec)
		err := r.s.Append(r.ctx, key, at, rec, session.Attention{Owner: "x"})
		r.want(err != nil, "a record with %s was accepted", what)
	}
	r.wantHead(r.s, key, at, session.Attention{}, "after records that do not fit")
	r.wantRecords(r.s, key, 0, records, "after records that do not fit")
}

func checkAttention(r *run) {
	key := id("a")
	var at session.Position
	for _, next := range []session.Attention{
		{Owner: "r1", Epoch: 1, Due: 10, Expiry: 20},
		{Owner: "r2", Epoch: 7, Due: 11},
		{Epoch: 7, Due: 30, Expiry: 30},
		{},
		{Due: farFuture},
	} {
		at, _ = r.grow(key, at, 1, next)
		r.wantHead(r.s, key, at, next, "after an append")
	}
}

func checkRead(r *run) {
	key := id("a")
	at, all := r.grow(key, session.Position{}, 7, session.Attention{})
	for _, c := range []struct {
		after       uint64
		limit, n, m int
	}{
		{0, 0, 0, 7}, {0, 1, 0, 1}, {0, 3, 0, 3}, {3, 3, 3, 6}, {6, 3, 6, 7}, {5, 0, 5, 7}, {0, 7, 0, 7}, {0, 100, 0, 7}, {7, 0, 7, 7}, {8, 2, 7, 7}, {1 << 40, 0, 7, 7},
	} {
		head, got, err := r.s.Read(r.ctx, key, c.after, c.limit)
		r.need(err, "read after %d, limit %d", c.after, c.limit)
		r.want(sameRecords(got, all[c.n:c.m]), "read after %d, limit %d: %s, want %s", c.after, c.limit, list(got), list(all[c.n:c.m]))
		r.want(head.Position == at, "read after %d, limit %d: head %s, want it at %+v", c.after, c.limit, show(head), at)
	}
}

func checkHeads(r *run) {
	r.grow(id("b"), session.Position{}, 2, session.Attention{})
	r.grow(id("a"), session.Position{}, 1, session.Attention{})
	keys := []session.Key{id("b"), id("none"), id("a"), id("b"), {Tenant: "t", ID: "a"}}
	heads, err := r.s.Heads(r.ctx, keys)
	r.need(err, "Heads")
	want := []uint64{2, 0, 1, 2, 0}
	if r.want(len(heads) == len(keys), "%d keys gave %d heads", len(keys), len(heads)) {
		for i, h := range heads {
			r.want(h.Key == keys[i] && h.Len == want[i], "head %d is %s, want %s with length %d", i, show(h), keys[i], want[i])
		}
	}
	heads, err = r.s.Heads(r.ctx, nil)
	r.want(err == nil && len(heads) == 0, "no keys gave %d heads and error %v", len(heads), err)
}

// oddKeys are legal keys that a careless store confuses.
func oddKeys() []session.Key {
	const odd = "-._:@+="
	long := strings.Repeat("x", session.MaxID-1)
	return []session.Key{
		id("a"), id("A"),
		{Tenant: "t", ID: "a"},
		{Tenant: "T", ID: "a"},
		{Tenant: "a", ID: "t"},
		id("t:a"), id("t.a"), id("t_a"), id("t=a"), id("t+a"), id("t@a"), id("ta"),
		{Tenant: "t:a", ID: "b"},
		{Tenant: "t", ID: "a:b"},
		id(odd),
		{Tenant: odd, ID: odd},
		id("{a}"[1:2] + "=="), id("0"), id("-1"), id("1e3"), id("null"),
		id(long + "1"), id(long + "2"),
		{Tenant: long + "1", ID: long + "2"},
	}
}

func checkKeys(r *run) {
	records := map[session.Key][]session.Record{}
	for i, key := range oddKeys() {
		_, records[key] = r.grow(key, session.Position{}, 1+i%3, session.Attention{Due: session.Millis(i + 1), Expiry: 3})
	}
	for i, key := range oddKeys() {
		want := records[key]
		r.wantHead(r.s, key, want[len(want)-1].Position(), session.Attention{Due: session.Millis(i + 1), Expiry: 3}, "among odd keys")
		r.wantRecords(r.s, key, 0, want, "among odd keys")
	}
}

func checkSizes(r *run) {
	key := id("a")
	var at session.Position
	var all []session.Record
	for _, n := range []int{1, 4095, 4097, 1 << 20} {
		rec := record(at, "size")
		rec.Data = pattern(n)
		r.need(r.s.Append(r.ctx, key, at, rec, session.Attention{}), "append %d bytes", n)
		at, all = rec.Position(), append(all, rec)
	}
	r.wantRecords(r.s, key, 0, all, "records of many sizes")
}
