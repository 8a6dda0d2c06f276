package sessiontest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

var agendaChecks = []check{
	{name: "due returns an owner's sessions up to a time, oldest first, up to a limit", run: checkDue},
	{name: "the agenda follows the heads", run: checkDueMoves},
	{name: "list walks one tenant's sessions in the order of their ids", run: checkList},
	{name: "list searches ids for a literal text", run: checkSearch},
	{name: "list leaves out idle sessions when asked", run: checkUnfinished},
	{name: "list returns at most 100 unless told", run: checkListDefault},
}

// agenda checks what Due returns, by the sessions' keys.
func (r *run) agenda(owner string, before session.Millis, limit int, want, when string) {
	for end := time.Now().Add(r.h.AgendaLag); ; {
		heads, err := r.s.Due(r.ctx, owner, before, limit)
		r.need(err, "Due")
		got := keysOf(heads)
		if got != want && time.Now().Before(end) {
			select {
			case <-r.ctx.Done():
			case <-time.After(r.h.AgendaLag / 50): // how long it lags is the store's to say
			}
			continue
		}
		if r.want(got == want, "%s: Due(%q, %d, %d) returned [%s], want [%s]", when, owner, before, limit, got, want) {
			for _, h := range heads {
				now := r.head(r.s, h.Key)
				r.want(show(h) == show(now), "%s: Due returned %s, the head is %s", when, show(h), show(now))
			}
		}
		return
	}
}

func checkDue(r *run) {
	for name, next := range map[string]session.Attention{
		"d30":   {Due: 30, Expiry: 90},
		"d10":   {Due: 10},
		"d20":   {Due: 20, Epoch: 3},
		"never": {Expiry: 5},
		"idle":  {Due: 40, Expiry: 40},
		"mine1": {Owner: "r1", Epoch: 1, Due: 15},
		"mine2": {Owner: "r1", Epoch: 1, Due: 5},
		"his":   {Owner: "r2", Epoch: 1, Due: 1},
		"like":  {Owner: "r11", Epoch: 1, Due: 1},
	} {
		r.grow(id(name), session.Position{}, 1, next)
	}
	r.grow(session.Key{Tenant: "t", ID: "d25"}, session.Position{}, 1, session.Attention{Due: 25})
	r.agenda("", 9, 10, "", "before the first")
	r.agenda("", 10, 10, "d10", "at the first")
	r.agenda("", 39, 10, "d10 d20 t/d25 d30", "before the last")
	r.agenda("", farFuture, 10, "d10 d20 t/d25 d30 idle", "after the last")
	r.agenda("", farFuture, 2, "d10 d20", "with a limit")
	r.agenda("r1", farFuture, 10, "mine2 mine1", "for an owner")
	r.agenda("r1", 5, 10, "mine2", "for an owner, at its first")
	r.agenda("r2", farFuture, 10, "his", "for another owner")
	r.agenda("nobody", farFuture, 10, "", "for an owner of nothing")
}

func checkDueMoves(r *run) {
	key := id("a")
	at, _ := r.grow(key, session.Position{}, 1, session.Attention{Due: 10})
	r.agenda("", 50, 10, "a", "when due")
	at, _ = r.grow(key, at, 1, session.Attention{Owner: "r1", Epoch: 1, Due: 20})
	r.agenda("", 50, 10, "", "when owned")
	r.agenda("r1", 50, 10, "a", "when owned")
	at, _ = r.grow(key, at, 1, session.Attention{Owner: "r2", Epoch: 2, Due: 60})
	r.agenda("r1", farFuture, 10, "", "when taken over")
	r.agenda("r2", 50, 10, "", "when due later")
	r.agenda("r2", 60, 10, "a", "when due later")
	at, _ = r.grow(key, at, 1, session.Attention{})
	r.agenda("r2", farFuture, 10, "", "when never due")
	r.agenda("", farFuture, 10, "", "when never due")
	at, _ = r.grow(key, at, 1, session.Attention{Due: 70})
	r.agenda("", 70, 10, "a", "when due again")
	r.erased(key, at)
	r.agenda("", farFuture, 10, "", "when erased")
}

func (r *run) wantList(q session.Query, want string) {
	heads, err := r.s.List(r.ctx, q)
	r.need(err, "List %+v", q)
	got := keysOf(heads)
	if r.want(got == want, "List %+v returned [%s], want [%s]", q, got, want) {
		for _, h := range heads {
			now := r.head(r.s, h.Key)
			r.want(show(h) == show(now), "List returned %s, the head is %s", show(h), show(now))
		}
	}
}

func checkList(r *run) {
	for _, key := range []session.Key{id("m"), id("B"), id("a"), id("z"), id("a.1"), {Tenant: "t", ID: "m2"}, {Tenant: "t", ID: "a2"}, {Tenant: "t2", ID: "c"}, {Tenant: "T", ID: "d"}} {
		r.grow(key, session.Position{}, 2, session.Attention{Due: 3, Expiry: 4})
	}
	at, _ := r.grow(id("n"), session.Position{}, 1, session.Attention{})
	r.erased(id("n"), at)
	at, _ = r.grow(session.Key{Tenant: "gone", ID: "n"}, session.Position{}, 1, session.Attention{})
	r.erased(session.Key{Tenant: "gone", ID: "n"}, at)
	tenants, err := r.s.Tenants(r.ctx)
	r.want(err == nil && slices.Equal(tenants, []string{"", "T", "t", "t2"}), "the tenants are %q, %v", tenants, err)
	r.wantList(session.Query{}, "B a a.1 m z")
	r.wantList(session.Query{Tenant: "t"}, "t/a2 t/m2")
	r.wantList(session.Query{Tenant: "none"}, "")
	r.wantList(session.Query{Limit: 2}, "B a")
	r.wantList(session.Query{Limit: 2, After: "a"}, "a.1 m")
	r.wantList(session.Query{Limit: 2, After: "m"}, "z")
	r.wantList(session.Query{After: "b"}, "m z")
	r.wantList(session.Query{After: "z"}, "")
	r.wantList(session.Query{Tenant: "t", After: "a2"}, "t/m2")
}

func checkSearch(r *run) {
	for _, name := range []string{"a_b", "aXb", "a.b", "user@x", "User@x", "x=1", "x-1", "+49"} {
		r.grow(id(name), session.Position{}, 1, session.Attention{})
	}
	r.grow(session.Key{Tenant: "user", ID: "q"}, session.Position{}, 1, session.Attention{})
	for search, want := range map[string]string{
		"_": "a_b", ".": "a.b", "a.b": "a.b", "b": "a.b aXb a_b", "user": "user@x", "ser@": "User@x user@x", "%": "", "*": "", "+": "+49", "=": "x=1", "zz": "",
	} {
		r.wantList(session.Query{Search: search}, want)
	}
	r.wantList(session.Query{Search: "x", After: "User@x", Limit: 2}, "user@x x-1")
	r.wantList(session.Query{Search: "x", After: "x-1", Limit: 2}, "x=1")
}

func checkUnfinished(r *run) {
	for name, next := range map[string]session.Attention{
		"idle":     {},
		"expiring": {Due: 50, Expiry: 50},
		"owned":    {Owner: "r1", Epoch: 1, Due: 1},
		"queued":   {Due: 1},
		"kept":     {Due: 0, Expiry: 70},
	} {
		r.grow(id(name), session.Position{}, 1, next)
	}
	r.wantList(session.Query{Unfinished: true}, "kept owned queued") // what Head.Idle says, no more
	r.wantList(session.Query{Unfinished: true, Search: "ue"}, "queued")
	r.wantList(session.Query{Unfinished: true, After: "owned"}, "queued")
	r.wantList(session.Query{Unfinished: true, Limit: 1}, "kept")
}

func checkListDefault(r *run) {
	var names []string
	for i := range 105 {
		names = append(names, fmt.Sprintf("s%03d", i))
		r.grow(id(names[i]), session.Position{}, 1, session.Attention{})
	}
	r.wantList(session.Query{}, strings.Join(names[:100], " "))
	r.wantList(session.Query{Limit: 104}, strings.Join(names[:104], " "))
	r.wantList(session.Query{After: names[99]}, strings.Join(names[100:], " "))
}
