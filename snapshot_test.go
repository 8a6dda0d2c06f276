package agentkernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

// kept is a world whose replica snapshots often and keeps records for an hour.
func kept(t *testing.T, f func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica)) {
	synctest.Test(t, func(t *testing.T) {
		inner := memory.New()
		store := sessiontest.NewFaulty(inner)
		w := newWorld(t, store)
		w.truth = inner
		cfg := w.config()
		cfg.SnapshotEvery, cfg.Retention = 32, time.Hour
		r := w.replica(cfg, "", 0, "")
		defer r.stop()
		synctest.Wait() // it has looked for others
		f(t, w, store, r)
	})
}

func hellos(t *testing.T, r *replica, n int) (handles []*Handle) {
	t.Helper()
	for range n {
		h := start(t, r, "hello")
		if i := state(t, h); i.State != session.Completed {
			t.Fatalf("it is %s", i.State)
		}
		handles = append(handles, h)
	}
	synctest.Wait()
	return handles
}

// TestOpeningASessionIsFlat is P8: whatever a session has been through, opening it reads a page, a snapshot and the
// records behind it.
func TestOpeningASessionIsFlat(t *testing.T) {
	for _, turns := range []int{10, 100, 400} {
		kept(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
			hellos(t, r, turns)
			count := &counted{Store: w.truth}
			cfg := w.config()
			cfg.SnapshotEvery = 32
			w.store = count
			other := w.replica(cfg, "", 0, "")
			defer other.stop()
			messages, err := other.Messages(keyS)
			if err != nil || len(messages) == 0 {
				t.Fatalf("%d messages, %v", len(messages), err)
			}
			// Turns follow each other here without a pause, so the snapshot in the making may lag behind by some.
			if n := count.records.Load(); n > firstPage+10*32 {
				t.Errorf("after %d turns %d records are read", turns, n)
			}
			info, err := other.Session(keyS)
			mine, err2 := r.Session(keyS)
			if err != nil || err2 != nil || info.Records != mine.Records || *info.Turns != *mine.Turns || info.Records < uint64(2*turns) {
				t.Errorf("opened it is %+v, %v; it was %+v, %v", info, err, mine, err2)
			}
		})
	}
}

// counted counts the records that are read.
type counted struct {
	session.Store
	records atomic.Int64
}

func (c *counted) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	head, records, err := c.Store.Read(ctx, key, after, limit)
	c.records.Add(int64(len(records)))
	return head, records, err
}

// oldestKept is the first record of the session that is not trimmed.
func oldestKept(t *testing.T, store session.Store) uint64 {
	t.Helper()
	for after := uint64(0); ; after++ {
		_, records, err := store.Read(t.Context(), keyS, after, 1)
		if err == nil && len(records) > 0 {
			return records[0].Seq
		}
		if !errors.Is(err, session.ErrTrimmed) {
			t.Fatal(err)
		}
	}
}

func TestOldRecordsAreTrimmedAndEverythingGoesOn(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		old := hellos(t, r, 100)[0]
		time.Sleep(2 * time.Hour)
		hellos(t, r, 40)
		first := oldestKept(t, w.truth)
		if first != 193 { // the last checkpoint among the first 200 records is at 192
			t.Errorf("the oldest record is %d, want 193", first)
		}
		entries, err := r.Journal(t.Context(), keyS, 0, 5)
		if err != nil || len(entries) != 5 || entries[0].Seq != first {
			t.Errorf("the journal begins with %+v, %v", entries, err)
		}
		for _, h := range []*Handle{old} {
			i, err := h.Info(t.Context())
			if err != nil || i.State != session.Completed {
				t.Errorf("a trimmed turn: %+v, %v", i, err)
			}
			var types []string
			for e, err := range h.Events(t.Context(), "") {
				if err != nil {
					t.Error(err)
				}
				types = append(types, e.Type)
				if e.Type == EventReset && !strings.Contains(string(e.Data), "done: hello") {
					t.Errorf("the reset says %s", e.Data)
				}
			}
			if !slices.Equal(types, []string{EventReset, EventDone}) {
				t.Errorf("it is told as %v", types)
			}
		}
		other := w.replica(w.config(), "", 0, "")
		defer other.stop()
		if i := state(t, start(t, other, "hello")); i.State != session.Completed {
			t.Errorf("another replica: %s", i.State)
		}
		info, err := other.Session(keyS)
		if err != nil || *info.Turns != 141 {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

func TestAnUnfinishedTurnKeepsItsRecords(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		hellos(t, r, 50)
		began, release := block(r.cfg, "idem")
		r.cfg.Agents[0].tool("idem").Timeout, r.cfg.Agents[0].Limits.Wall = 5*time.Hour, 5*time.Hour
		h := start(t, r, "idem")
		<-began
		for range 10 {
			start(t, r, "hello") // behind it
		}
		time.Sleep(2 * time.Hour)
		for range 40 {
			start(t, r, "hello")
		}
		synctest.Wait()
		if first := oldestKept(t, w.truth); first > h.id.Ref.Seq || first == 1 {
			t.Errorf("the oldest record is %d, the unfinished turn began at %d", first, h.id.Ref.Seq)
		}
		close(release)
		state(t, h)
	})
}

// TestASnapshotThatCannotBeReadIsPassedOver while the records are there, and is an error when they are trimmed.
func TestASnapshotThatCannotBeReadIsPassedOver(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
			hellos(t, r, 100)
			if trimmed {
				time.Sleep(2 * time.Hour)
				hellos(t, r, 40)
			}
			snap, err := w.truth.Snapshot(t.Context(), keyS)
			if err != nil {
				t.Fatal(err)
			}
			snap.Data = []byte(strings.Replace(string(snap.Data), `"fold":1`, `"fold":99`, 1))
			if err := w.truth.PutSnapshot(t.Context(), keyS, snap); err != nil {
				t.Fatal(err)
			}
			other := w.replica(w.config(), "", 0, "")
			defer other.stop()
			_, err = other.Session(keyS)
			if trimmed && fault.KindOf(err) != fault.Unreadable || !trimmed && err != nil {
				t.Errorf("trimmed %t: %v", trimmed, err)
			}
		})
	}
}

// TestAnAppendWhosePlaceWasTrimmedIsDecidedByTheSnapshot: it was written, its answer was lost, and before anyone asked
// the store had trimmed it.
func TestAnAppendWhosePlaceWasTrimmedIsDecidedByTheSnapshot(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		hellos(t, r, 100)
		s := w.fold(keyS)
		_, records, err := w.truth.Read(t.Context(), keyS, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		hellos(t, r, 40)
		j := r.open(keyS)
		defer j.unpin()
		j.mu.Lock()
		defer j.mu.Unlock()
		at := records[149].Position()
		if err := j.fate(at, records[150]); err != nil {
			t.Errorf("a record that is in the journal: %v", err)
		}
		other, _, err := session.NewRecord(at, "r", 0, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.fate(at, other); !errors.Is(err, session.ErrConflict) {
			t.Errorf("a record that is not: %v", err)
		}
		if s.At.Len != 200 || j.s.At.Len != 280 {
			t.Errorf("%d, then %d records", s.At.Len, j.s.At.Len)
		}
	})
}

func TestAPastTurnIsReadFromItsRecords(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		handles := hellos(t, r, 3)
		h := start(t, r, "read|idem")
		state(t, h)
		handles = append(handles, h)
		j := r.open(keyS)
		defer j.unpin()
		for _, h := range handles {
			want := w.fold(keyS).Find(h.id)
			got, err := j.past(t.Context(), h.id)
			if err != nil || string(mustJSON(got)) != string(mustJSON(want)) {
				t.Errorf("%v\nis  %s\nwas %s", err, mustJSON(got), mustJSON(want))
			}
		}
		wrong := handles[0].id
		wrong.Tag = "00000000"
		if _, err := j.past(t.Context(), wrong); fault.KindOf(err) != fault.LostByStore {
			t.Errorf("another turn in its place: %v", err)
		}
		hellos(t, r, 100)
		time.Sleep(2 * time.Hour)
		hellos(t, r, 40)
		if _, err := j.past(t.Context(), handles[0].id); fault.KindOf(err) != fault.Gone {
			t.Errorf("trimmed: %v", err)
		}
	})
}

func TestBlobsThatNothingNamesAreCollected(t *testing.T) {
	kept(t, func(t *testing.T, w *world, store *sessiontest.Faulty, r *replica) {
		hellos(t, r, 100)
		put := func(text string) string {
			d, err := r.putBlob(t.Context(), keyS, 1, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		orphan, named := put("orphan"), put("named")
		time.Sleep(2 * time.Hour)
		start(t, r, "hello "+named) // in the input, which is as good a place as any
		young := put("young")
		hellos(t, r, 40)
		list, err := w.truth.BlobList(t.Context(), keyS, 1)
		var left []string
		for _, b := range list {
			left = append(left, b.Digest)
		}
		want := []string{named, young}
		slices.Sort(want)
		if err != nil || !slices.Equal(left, want) {
			t.Errorf("left are %v, %v, want %v and not %s", left, err, want, orphan)
		}
		store.Reset()
		if data, err := r.getBlob(t.Context(), keyS, 1, named); err != nil || string(data) != "named" || store.Count(sessiontest.GetBlob) != 0 {
			t.Errorf("%q, %v, %d reads", data, err, store.Count(sessiontest.GetBlob))
		}
	})
}

func TestABlobIsWhatItsDigestSays(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		hellos(t, r, 1)
		d := digestOf([]byte("right"))
		if err := w.truth.PutBlob(t.Context(), keyS, 1, d, []byte("wrong")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.getBlob(t.Context(), keyS, 1, d); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("another content: %v", err)
		}
		if _, err := r.getBlob(t.Context(), keyS, 1, digestOf(nil)); fault.KindOf(err) != fault.LostByStore {
			t.Errorf("nothing: %v", err)
		}
		for i := range 40 {
			if _, err := r.putBlob(t.Context(), keyS, 1, slices.Repeat([]byte{byte(i)}, 1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		b := &r.Kernel.blobs
		if b.size > blobCache || b.size < blobCache/2 || len(b.held) != b.lru.Len() {
			t.Errorf("%d bytes in %d blobs are cached", b.size, len(b.held))
		}
		b.forget(keyS)
		if b.size != 0 || len(b.held) != 0 {
			t.Error("an erased session's blobs are cached")
		}
	})
}

func TestAReplicaStopsWhenTheStoreWasRestored(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		hellos(t, r, 1)
		if err := w.truth.RaiseGeneration(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-r.Kernel.ctx.Done()
		if h := r.Health(); h.Status != "unhealthy" || !strings.Contains(h.StoreErr, "restored") {
			t.Errorf("%+v", h)
		}
		if _, err := r.Start(t.Context(), Request{Session: "s", Prompt: "hello"}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("it serves: %v", err)
		}
		next := w.replica(w.config(), "", 0, "")
		defer next.stop()
		hellos(t, next, 1)
	})
}

// meta is a store that says something else of itself.
type meta struct {
	session.Store
	format int
}

func (m meta) Meta(ctx context.Context) (session.Meta, error) {
	out, err := m.Store.Meta(ctx)
	out.Format = m.format
	return out, err
}

func TestAStoreOfANewerFormatIsNotServed(t *testing.T) {
	inner := memory.New()
	w := newWorld(t, inner)
	if _, err := Open(t.Context(), meta{inner, session.StoreFormat + 1}, w.config()); fault.KindOf(err) != fault.Unreadable {
		t.Errorf("opened: %v", err)
	}
}

// TestAReplicaWritesWhatTheOthersRead is P16: in builds with one version there is little to choose from.
func TestAReplicaWritesWhatTheOthersRead(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		if r.writes() != session.Writes || !r.snapshotsReadable() {
			t.Errorf("alone it writes %d, snapshots %t", r.writes(), r.snapshotsReadable())
		}
		for n := 1; r.writes() != 1 || r.snapshotsReadable(); n++ {
			if n > 100 {
				t.Fatalf("beside an old replica it writes %d, snapshots %t", r.writes(), r.snapshotsReadable())
			}
			if err := w.truth.Beat(t.Context(), session.Replica{ID: "old", Counter: uint64(n), Info: mustJSON(ReplicaInfo{ID: "old", TTLMS: 1000})}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if r.writes() != session.Writes || !r.snapshotsReadable() {
			t.Errorf("when the old one is dead it writes %d, snapshots %t", r.writes(), r.snapshotsReadable())
		}
	})
}

// TestASessionOfANewerReleaseIsLeftToIt is P16: it is not claimed, and that is no failed recovery.
func TestASessionOfANewerReleaseIsLeftToIt(t *testing.T) {
	kept(t, func(t *testing.T, w *world, _ *sessiontest.Faulty, r *replica) {
		data := fmt.Appendf(nil, `{"v":%d,"life":1,"seq":1,"nonce":"0a","writer":"r9","at":1,"events":[]}`, session.Reads+1)
		rec := session.Record{Life: 1, Seq: 1, ID: digestOf(data)[:32], Data: data}
		if err := w.truth.Append(t.Context(), keyS, session.Position{}, rec, session.Attention{Due: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // sweeps find it due
		if _, err := r.Start(t.Context(), Request{Session: "s", Prompt: "hello"}); fault.KindOf(err) != fault.Unreadable {
			t.Errorf("accepted: %v", err)
		}
		heads, err := w.truth.Heads(t.Context(), []session.Key{keyS})
		if err != nil || heads[0].Len != 1 || heads[0].Owner != "" {
			t.Errorf("the head is %+v, %v", heads, err)
		}
	})
}
