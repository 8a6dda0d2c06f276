package sessiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

var lifeChecks = []check{
	{name: "bytes handed in are not kept, bytes returned are the caller's", run: checkCopies},
	{name: "a context that has ended is honoured by every method", run: checkCancelled},
	{name: "reopening keeps everything", run: checkReopen, needs: durable},
	{name: "every method fails after close", run: checkClosed},
}

func checkWatch(r *run) {
	w, ok := r.s.(session.Watcher)
	if !ok {
		r.want(true, "")
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	changes, err := w.Watch(ctx)
	r.need(err, "Watch")
	r.want(cap(changes) == 1, "the channel has room for %d, want 1", cap(changes))
	two, key := r.second(), id("a")
	var at session.Position
	for i := range 3 {
		rec := record(at, "watched")
		r.need(two.Append(r.ctx, key, at, rec, session.Attention{}), "append")
		at = rec.Position()
		select {
		case _, open := <-changes:
			r.want(open, "the channel was closed")
		case <-time.After(10 * time.Second):
			r.want(false, "no signal within 10 s of change %d", i)
		}
	}
	cancel()
	r.need(two.Append(r.ctx, key, at, record(at, "unwatched"), session.Attention{}), "append after the watch ended")
	select {
	case _, open := <-changes:
		r.want(open, "the channel was closed when its context ended") // a last signal may have been on its way
	default:
	}
	_, err = w.Watch(ctx)
	r.want(err != nil, "Watch took a context that had ended")
}

func checkCopies(r *run) {
	key := id("a")
	scribble := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
	}
	rec := record(session.Position{}, "copy")
	keep := record(session.Position{}, "copy")
	r.need(r.s.Append(r.ctx, key, session.Position{}, rec, session.Attention{}), "append")
	r.want(reflect.DeepEqual(rec, keep), "Append changed the record")
	snap, blob, value, info := []byte("snap"), []byte("blob"), []byte("hint"), json.RawMessage(`"info"`)
	r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: 1, Seq: 1, Data: snap}), "put a snapshot")
	r.need(r.s.PutBlob(r.ctx, key, 1, "d", blob), "put a blob")
	r.need(r.s.PutHint(r.ctx, session.Hint{Name: "h", Value: value, Until: farFuture}), "put a hint")
	r.need(r.s.Beat(r.ctx, session.Replica{ID: "r", Info: info}), "beat")
	keys := []string{"k1", "k2"}
	other, _ := r.grow(id("b"), session.Position{}, 1, session.Attention{})
	r.need(r.s.Erase(r.ctx, id("b"), other, session.Tombstone{Until: farFuture, Keys: keys}), "erase")
	for _, b := range [][]byte{rec.Data, snap, blob, value, info} {
		scribble(b)
	}
	keys[0] = "!"
	for _, when := range []string{"after the caller's bytes changed", "after returned bytes changed"} {
		_, records, err := r.s.Read(r.ctx, key, 0, 0)
		r.need(err, "read")
		r.want(sameRecords(records, []session.Record{keep}), "%s: the record is %s", when, list(records))
		got, err := r.s.Snapshot(r.ctx, key)
		r.want(err == nil && string(got.Data) == "snap", "%s: the snapshot is %q, %v", when, got.Data, err)
		data, err := r.s.Blob(r.ctx, key, 1, "d")
		r.want(err == nil && string(data) == "blob", "%s: the blob is %q, %v", when, data, err)
		hints, err := r.s.Hints(r.ctx, "")
		r.want(err == nil && len(hints) == 1 && string(hints[0].Value) == "hint", "%s: the hint is %v, %v", when, hints, err)
		reps, err := r.s.Replicas(r.ctx)
		r.want(err == nil && len(reps) == 1 && string(reps[0].Info) == `"info"`, "%s: the replica is %v, %v", when, reps, err)
		r.wantErased(r.s, id("b"), 1, when)
		tomb := r.head(r.s, id("b")).Tomb
		if len(records) == 1 && len(hints) == 1 && len(reps) == 1 && tomb != nil && len(tomb.Keys) == 2 {
			scribble(records[0].Data)
			scribble(got.Data)
			scribble(data)
			scribble(hints[0].Value)
			scribble(reps[0].Info)
			tomb.Keys[0] = "!"
		}
	}
}

// calls are all methods that take a context, once each, on a session that stands at at. Those that write are named in
// writes.
func calls(s session.Store, key session.Key, at session.Position) (all map[string]func(context.Context) error, writes []string) {
	all = map[string]func(context.Context) error{
		"Append":   func(ctx context.Context) error { return s.Append(ctx, key, at, record(at, "x"), session.Attention{}) },
		"Read":     func(ctx context.Context) error { _, _, err := s.Read(ctx, key, 0, 0); return err },
		"Heads":    func(ctx context.Context) error { _, err := s.Heads(ctx, []session.Key{key}); return err },
		"Erase":    func(ctx context.Context) error { return s.Erase(ctx, key, at, session.Tombstone{Until: farFuture}) },
		"Due":      func(ctx context.Context) error { _, err := s.Due(ctx, "", 1, 1); return err },
		"Beat":     func(ctx context.Context) error { return s.Beat(ctx, session.Replica{ID: "late"}) },
		"Replicas": func(ctx context.Context) error { _, err := s.Replicas(ctx); return err },
		"Leave":    func(ctx context.Context) error { return s.Leave(ctx, "r") },
		"PutSnapshot": func(ctx context.Context) error {
			return s.PutSnapshot(ctx, key, session.Snapshot{Life: 1, Seq: at.Len, Data: []byte("late")})
		},
		"Snapshot": func(ctx context.Context) error { _, err := s.Snapshot(ctx, key); return err },
		"Trim":     func(ctx context.Context) error { return s.Trim(ctx, key, 1, at.Len) },
		"PutBlob":  func(ctx context.Context) error { return s.PutBlob(ctx, key, 1, "late", []byte("late")) },
		"Blob":     func(ctx context.Context) error { _, err := s.Blob(ctx, key, 1, "digest"); return err },
		"BlobList": func(ctx context.Context) error { _, err := s.BlobList(ctx, key, 1); return err },
		"DropBlob": func(ctx context.Context) error {
			return s.DropBlob(ctx, key, 1, session.BlobInfo{Digest: "late", Size: 4, Written: 1})
		},
		"PutHint": func(ctx context.Context) error {
			return s.PutHint(ctx, session.Hint{Name: "late", Until: farFuture})
		},
		"Hints":   func(ctx context.Context) error { _, err := s.Hints(ctx, ""); return err },
		"List":    func(ctx context.Context) error { _, err := s.List(ctx, session.Query{}); return err },
		"Tenants": func(ctx context.Context) error { _, err := s.Tenants(ctx); return err },
		"Meta":    func(ctx context.Context) error { _, err := s.Meta(ctx); return err },
		"Raise":   s.RaiseGeneration,
	}
	return all, []string{"Append", "Erase", "Beat", "Leave", "PutSnapshot", "Trim", "PutBlob", "DropBlob", "PutHint", "Raise"}
}

func checkCancelled(r *run) {
	key, next := id("a"), session.Attention{Due: 5}
	at, records := r.furnish(key, session.Position{}, next)
	r.need(r.s.Beat(r.ctx, session.Replica{ID: "r", Counter: 1}), "beat")
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	late, cancelLate := context.WithDeadline(r.ctx, time.Unix(1, 0))
	defer cancelLate()
	all, writes := calls(r.s, key, at)
	for name, call := range all {
		r.wantErr(call(ended), context.Canceled, "%s with a cancelled context", name)
		r.wantErr(call(late), context.DeadlineExceeded, "%s after its deadline", name)
	}
	for _, name := range writes {
		r.wantErr(all[name](ended), session.ErrNotSent, "%s with a cancelled context", name)
	}
	r.wantFurnished(r.s, key, records, next, "after calls with an ended context")
	r.want(fmt.Sprint(r.replicas(r.s)) == "map[r:1 ]", "after calls with an ended context: replicas are %v", r.replicas(r.s))
	r.wantHints("", "")
	_, err := r.s.Blob(r.ctx, key, 1, "late")
	r.wantErr(err, session.ErrNoValue, "a blob put with an ended context")
}

func checkReopen(r *run) {
	a, b := session.Key{Tenant: "t", ID: "a"}, id("b")
	next := session.Attention{Owner: "r1", Epoch: big, Due: 5, Expiry: 6}
	at, all := r.furnish(a, session.Position{}, next)
	atB, _ := r.grow(b, session.Position{}, 1, session.Attention{})
	r.erased(b, atB)
	r.grow(id("c"), session.Position{}, 3, session.Attention{Due: 9})
	r.need(r.s.PutSnapshot(r.ctx, id("c"), session.Snapshot{Life: 1, Seq: 2}), "put a snapshot")
	r.need(r.s.Trim(r.ctx, id("c"), 1, 2), "trim")
	meta, err := r.s.Meta(r.ctx)
	r.need(err, "Meta")
	for range 2 {
		updated := r.head(r.s, a).Updated
		r.need(r.s.Close(), "close")
		r.s = r.handle()
		defer r.s.Close()
		r.wantFurnished(r.s, a, all, next, "after reopening")
		r.want(r.head(r.s, a).Updated == updated, "after reopening: the update time changed")
		r.wantErased(r.s, b, 1, "after reopening")
		_, _, err = r.s.Read(r.ctx, id("c"), 0, 0)
		r.wantErr(err, session.ErrTrimmed, "read of trimmed records after reopening")
		r.agenda("", 99, 9, "c", "after reopening")
		r.agenda("r1", 99, 9, "t/a", "after reopening")
		r.wantList(session.Query{Tenant: "t"}, "t/a")
		again, err := r.s.Meta(r.ctx)
		r.want(err == nil && again == meta, "after reopening: Meta is %+v, %v, want %+v", again, err, meta)
	}
	r.refused(a, session.Position{}, "the zero position, after reopening")
	r.grow(a, at, 1, next)
	r.grow(b, session.Position{Life: 1}, 1, next)
}

func checkClosed(r *run) {
	at, _ := r.furnish(id("a"), session.Position{}, session.Attention{})
	r.need(r.s.Close(), "close")
	all, writes := calls(r.s, id("a"), at)
	for name, call := range all {
		r.want(call(r.ctx) != nil, "%s works on a closed store", name)
	}
	for _, name := range writes {
		r.want(!errors.Is(all[name](r.ctx), session.ErrConflict), "%s on a closed store answers with a conflict", name)
	}
	if w, ok := r.s.(session.Watcher); ok {
		_, err := w.Watch(r.ctx)
		r.want(err != nil, "Watch works on a closed store")
	}
	r.need(r.s.Close(), "close again")
}
