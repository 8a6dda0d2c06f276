package sessiontest

import (
	"reflect"

	"github.com/agentkernel/agentkernel/session"
)

var eraseChecks = []check{
	{name: "an erase compares the whole position and changes nothing on conflict", run: checkEraseGuard},
	{name: "an erase removes everything and leaves the tombstone", run: checkErase},
	{name: "using an erased id again raises the life and consumes the tombstone", run: checkRecreate},
	{name: "an erased session can be erased again with another tombstone", run: checkEraseTwice},
	{name: "an erase leaves other sessions alone", run: checkEraseAlone},
}

// erased erases the session at at and returns where it then stands.
func (r *run) erased(key session.Key, at session.Position) session.Position {
	r.need(r.s.Erase(r.ctx, key, at, session.Tombstone{Until: farFuture, Keys: []string{"k1", "k2"}}), "erase %s", key)
	return session.Position{Life: at.Life}
}

// furnish gives a session everything that a session can have.
func (r *run) furnish(key session.Key, at session.Position, next session.Attention) (session.Position, []session.Record) {
	at, all := r.grow(key, at, 3, next)
	r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: at.Life, Seq: 2, Data: []byte("snapshot")}), "put a snapshot")
	r.need(r.s.PutBlob(r.ctx, key, at.Life, "digest", []byte("blob")), "put a blob")
	return at, all
}

// wantFurnished checks that furnish's work is all there.
func (r *run) wantFurnished(s session.Store, key session.Key, all []session.Record, next session.Attention, when string) {
	at := all[len(all)-1].Position()
	r.wantHead(s, key, at, next, when)
	r.wantRecords(s, key, 0, all, when)
	snap, err := s.Snapshot(r.ctx, key)
	r.want(err == nil && snap.Life == at.Life && snap.Seq == 2 && string(snap.Data) == "snapshot", "%s: the snapshot of %s is %+v, %v", when, key, snap, err)
	blob, err := s.Blob(r.ctx, key, at.Life, "digest")
	r.want(err == nil && string(blob) == "blob", "%s: the blob of %s is %q, %v", when, key, blob, err)
}

func checkEraseGuard(r *run) {
	key, next := id("a"), session.Attention{Due: 5, Expiry: 5}
	at, _ := r.grow(key, session.Position{}, 1, next)
	at, all := r.furnish(key, r.erased(key, at), next)
	for what, wrong := range map[string]session.Position{
		"an older life":     {Life: 1, Len: at.Len, LastID: at.LastID},
		"a newer life":      {Life: 3, Len: at.Len, LastID: at.LastID},
		"a smaller length":  {Life: 2, Len: at.Len - 1, LastID: at.LastID},
		"a greater length":  {Life: 2, Len: at.Len + 1, LastID: at.LastID},
		"another last id":   {Life: 2, Len: at.Len, LastID: all[0].ID},
		"the zero position": {},
		"an erased head":    {Life: 1},
	} {
		err := r.s.Erase(r.ctx, key, wrong, session.Tombstone{Until: farFuture})
		r.wantErr(err, session.ErrConflict, "erase with %s", what)
		r.wantFurnished(r.s, key, all, next, "after an erase with "+what)
	}
}

func checkErase(r *run) {
	key := session.Key{Tenant: "t", ID: "a"}
	at, _ := r.furnish(key, session.Position{}, session.Attention{Due: 5, Expiry: 5})
	r.erased(key, at)
	r.wantErased(r.s, key, 1, "after the erase")
	_, err := r.s.Blob(r.ctx, key, 1, "digest")
	r.wantErr(err, session.ErrNoValue, "blob of an erased session")
	_, err = r.s.Snapshot(r.ctx, key)
	r.wantErr(err, session.ErrNoValue, "snapshot of an erased session")
	heads, err := r.s.List(r.ctx, session.Query{Tenant: "t"})
	r.want(err == nil && len(heads) == 0, "an erased session is listed: %s, %v", keysOf(heads), err)
	r.agenda("", farFuture, 10, "", "after the erase")
}

// wantErased checks that key has the head of an erased session, with the tombstone that erased leaves.
func (r *run) wantErased(s session.Store, key session.Key, life uint64, when string) {
	head, records, err := s.Read(r.ctx, key, 0, 0)
	r.need(err, "%s: read", when)
	r.want(len(records) == 0, "%s: there are still records %s", when, list(records))
	for _, h := range []session.Head{head, r.head(s, key)} {
		r.want(h.Key == key && h.Position == session.Position{Life: life} && h.Attention == session.Attention{}, "%s: the head is %s, want life %d and nothing else", when, show(h), life)
		want := session.Tombstone{Until: farFuture, Keys: []string{"k1", "k2"}}
		r.want(h.Tomb != nil && reflect.DeepEqual(*h.Tomb, want), "%s: the tombstone in %s is not %+v", when, show(h), want)
	}
}

func checkRecreate(r *run) {
	key := id("a")
	before, _ := r.furnish(key, session.Position{}, session.Attention{})
	at := r.erased(key, before)
	r.refused(key, session.Position{}, "the position of an unused id")
	r.refused(key, before, "the position before the erase")
	r.refused(key, session.Position{Life: 2}, "a life too high")
	r.refused(key, session.Position{Life: 1, LastID: before.LastID}, "the last id of the erased life")
	r.wantErased(r.s, key, 1, "after refused appends")

	at, all := r.grow(key, at, 1, session.Attention{})
	r.want(at.Life == 2 && at.Len == 1, "the new life stands at %+v", at)
	r.wantHead(r.s, key, at, session.Attention{}, "in the second life") // without a tombstone
	r.wantRecords(r.s, key, 0, all, "in the second life")
	_, err := r.s.Snapshot(r.ctx, key)
	r.wantErr(err, session.ErrNoValue, "snapshot of the first life in the second")
	for _, life := range []uint64{1, 2} {
		_, err = r.s.Blob(r.ctx, key, life, "digest")
		r.wantErr(err, session.ErrNoValue, "blob of life %d after the erase", life)
	}
	r.refused(key, before, "the position before the erase")
	r.refused(key, session.Position{Life: 1}, "the position of the erased session, again")

	at = r.erased(key, at)
	r.wantErased(r.s, key, 2, "after the second erase")
	at, _ = r.grow(key, at, 1, session.Attention{})
	r.want(at.Life == 3, "the third life is %d", at.Life)
}

func checkEraseTwice(r *run) {
	key := id("a")
	at, _ := r.grow(key, session.Position{}, 2, session.Attention{})
	r.need(r.s.Erase(r.ctx, key, at, session.Tombstone{Until: farFuture, Keys: []string{"other"}}), "erase")
	r.erased(key, session.Position{Life: 1})
	r.wantErased(r.s, key, 1, "after the second erase")
	r.wantErr(r.s.Erase(r.ctx, key, at, session.Tombstone{}), session.ErrConflict, "erase at the position before")
	r.need(r.s.Erase(r.ctx, key, session.Position{Life: 1}, session.Tombstone{Until: farFuture}), "erase with a tombstone without keys")
	tomb := r.head(r.s, key).Tomb
	r.want(tomb != nil && tomb.Until == farFuture && len(tomb.Keys) == 0, "a tombstone without keys is %+v", tomb)
}

func checkEraseAlone(r *run) {
	next := session.Attention{Due: 5, Expiry: 5}
	all := map[session.Key][]session.Record{}
	for _, key := range oddKeys() {
		_, all[key] = r.furnish(key, session.Position{}, next)
	}
	gone := session.Key{Tenant: "t", ID: "a"}
	r.erased(gone, all[gone][2].Position())
	for _, key := range oddKeys() {
		if key != gone {
			r.wantFurnished(r.s, key, all[key], next, "after another session was erased")
		}
	}
}
