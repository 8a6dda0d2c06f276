package dynamodb

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestAnAppendIsTwoRequestsAndNoRead(t *testing.T) {
	cfg, p := place(t), &tap{}
	s := open(t, newTable(t, cfg), with(cfg, p.option()))
	var at session.Position
	for n, size := range []int{1000, 1000, 1000, 1 << 20, 3 << 20} {
		if _, err := s.Meta(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.reset(nil)
		rec := record(at, make([]byte, size))
		if err := s.Append(t.Context(), session.Key{ID: "a"}, at, rec, session.Attention{Owner: "r", Due: 5}); err != nil {
			t.Fatal(err)
		}
		at = rec.Position()
		want := []string{"BatchWriteItem", "UpdateItem"}
		if n == 0 {
			want = slices.Insert(want, 0, "Query") // whether the id is the incumbent's
		}
		if got := p.seen(); !slices.Equal(got, want) {
			t.Errorf("append %d of %d bytes: %v, want %v", n+1, size, got, want)
		}
	}
	if d := s.Durability(); d.AppendWrites != 2 || d.AppendReadBacks != 0 {
		t.Errorf("declared are %d writes and %d reads", d.AppendWrites, d.AppendReadBacks)
	}
}

// raw writes an item as another program would.
func raw(t *testing.T, s *Store, i item) {
	t.Helper()
	if err := s.put(t.Context(), putting(i)); err != nil {
		t.Fatal(err)
	}
}

func TestSessionsOfTheIncumbentAreRefusedAndLeftAlone(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	s := open(t, newTable(t, cfg), cfg)
	raw(t, s, item{partitionName: str("theirs"), sortName: str("history"), "value": bin([]byte("pickle"))})
	before := fmt.Sprint(holding(t, s, "theirs"), holding(t, s, "pickle"))
	key := session.Key{ID: "theirs"}
	_, _, readErr := s.Read(ctx, key, 0, 0)
	heads, headsErr := s.Heads(ctx, []session.Key{{ID: "none"}, key})
	appendErr := s.Append(ctx, key, session.Position{}, record(session.Position{}, []byte("x")), session.Attention{})
	eraseErr := s.Erase(ctx, key, session.Position{}, session.Tombstone{Until: 1 << 42})
	blobErr := s.PutBlob(ctx, key, 1, "d", []byte("x"))
	for name, err := range map[string]error{"read": readErr, "heads": headsErr, "append": appendErr, "erase": eraseErr, "blob": blobErr} {
		if fault.KindOf(err) != fault.Unreadable || fault.Try(err) == "" || !strings.Contains(err.Error(), "theirs") {
			t.Errorf("%s: %v of kind %s", name, err, fault.KindOf(err))
		}
	}
	for name, err := range map[string]error{"append": appendErr, "erase": eraseErr, "blob": blobErr} {
		if !errors.Is(err, session.ErrNotSent) {
			t.Errorf("%s is not known to be unsent: %v", name, err)
		}
	}
	if len(heads) != 2 || heads[0].Key.ID != "none" || heads[1].Key.ID != "" {
		t.Errorf("heads beside it: %+v", heads)
	}
	if after := fmt.Sprint(holding(t, s, "theirs"), holding(t, s, "pickle")); after != before {
		t.Errorf("the table had %s, and has %s", before, after)
	}
	if err := s.Append(ctx, session.Key{Tenant: "t", ID: "theirs"}, session.Position{}, record(session.Position{}, nil), session.Attention{}); err != nil {
		t.Errorf("a tenant's session of the same id: %v", err)
	}
}

func TestOrphansAreNeverReadWhereverAReadBeginsAndEnds(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	s := open(t, newTable(t, cfg), cfg)
	key := session.Key{ID: "a"}
	var at session.Position
	var all []session.Record
	for n := range 9 {
		rec := record(at, []byte("data"))
		if err := s.Append(ctx, key, at, rec, session.Attention{}); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"0", "zz"}[:n%3] { // one that sorts before, one behind
			orphan := item{seqAttr: num(rec.Seq), ridAttr: str(id), prevAttr: str(at.LastID), dataAttr: bin([]byte("orphan"))}
			for k, v := range orphan {
				orphan[k] = v
			}
			orphan[partitionName], orphan[sortName] = str(partition(key)), str(recordAt(1, rec.Seq)+id)
			raw(t, s, orphan)
		}
		at, all = rec.Position(), append(all, rec)
	}
	for after := range 9 {
		for limit := range 11 {
			head, got, err := s.Read(ctx, key, uint64(after), limit)
			want := all[after:]
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			same := err == nil && head.Position == at && slices.EqualFunc(got, want, func(a, b session.Record) bool { return a.ID == b.ID })
			if !same {
				t.Errorf("read after %d, limit %d: %d records, %v; want %d", after, limit, len(got), err, len(want))
			}
		}
	}
}

func TestWritersThatLoseLeaveNoRecordBehind(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	s := open(t, newTable(t, cfg), cfg)
	key := session.Key{ID: "a"}
	var at session.Position
	for range 5 {
		var wg sync.WaitGroup
		won := make(chan session.Record, 8)
		for range 8 {
			wg.Go(func() {
				rec := record(at, []byte("x"))
				if err := s.Append(ctx, key, at, rec, session.Attention{}); err == nil {
					won <- rec
				} else if !errors.Is(err, session.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d writers won", len(won))
		}
		at = (<-won).Position()
	}
	items, err := s.all(ctx, between{pk: partition(key), from: inLife(1, "r"), to: inLife(1, "r") + last})
	if err != nil || len(items) != 5 {
		t.Errorf("%d records are stored, %v; 5 were appended", len(items), err)
	}
}

func TestPagesOfMoreThanAMegabyteAreReadWhole(t *testing.T) {
	ctx, cfg := t.Context(), with(place(t), sizes(t))
	s := open(t, newTable(t, cfg), cfg)
	key := session.Key{ID: "a"}
	var at session.Position
	var all []session.Record
	for n, size := range []int{largest, largest + 1, 700 << 10, 1 << 20, 100, largest * 3, 0, 5} {
		rec := record(at, bytes.Repeat([]byte{byte(n)}, size))
		if err := s.Append(ctx, key, at, rec, session.Attention{}); err != nil {
			t.Fatal(err)
		}
		at, all = rec.Position(), append(all, rec)
	}
	for _, c := range []struct{ after, limit int }{{0, 0}, {0, 1}, {0, 2}, {1, 2}, {2, 3}, {5, 1}, {4, 0}} {
		_, got, err := s.Read(ctx, key, uint64(c.after), c.limit)
		want := all[c.after:]
		if c.limit > 0 {
			want = want[:c.limit]
		}
		if err != nil || !slices.EqualFunc(got, want, func(a, b session.Record) bool { return a.ID == b.ID && bytes.Equal(a.Data, b.Data) }) {
			t.Errorf("read after %d, limit %d: %d records, %v", c.after, c.limit, len(got), err)
		}
	}
}

func TestWhatABatchLeavesOutIsAskedForAgain(t *testing.T) {
	cfg, p := place(t), &tap{}
	table := newTable(t, cfg)
	s := open(t, table, with(cfg, p.option(), halves()))
	u := newSubject(t, s, "a") // writes batches
	rec := record(u.at, bytes.Repeat([]byte("x"), 5*largest))
	u.must(s.Append(t.Context(), u.key, u.at, rec, session.Attention{}))
	keys := []session.Key{u.key, {Tenant: "t", ID: "none"}, {Tenant: "u", ID: "none"}}
	heads, err := s.Heads(t.Context(), keys)
	if err != nil || heads[0].Len != 4 || heads[1].Key != keys[1] || heads[2].Key != keys[2] {
		t.Errorf("%+v, %v", heads, err)
	}
	_, records, err := s.Read(t.Context(), u.key, 3, 0)
	if err != nil || len(records) != 1 || len(records[0].Data) != 5*largest {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestNothingOfASessionExpiresByItself(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	s := open(t, newTable(t, cfg), cfg)
	newSubject(t, s, "lives")
	dead := newSubject(t, s, "dead")
	dead.must(s.PutHint(ctx, session.Hint{Name: "h", Until: 5000}))
	dead.must(s.Erase(ctx, dead.key, dead.at, session.Tombstone{Until: 1 << 42}))
	ends := map[string]string{}
	for _, i := range scan(t, s) {
		if v, ok := i[ttlName].(*types.AttributeValueMemberN); ok {
			ends[(&holder{item: i}).str(partitionName)] = v.Value
		}
	}
	want := fmt.Sprint(map[string]string{hints: "6", partition(dead.key): fmt.Sprint(int64(1<<42)/1000 + 1)})
	if fmt.Sprint(ends) != want {
		t.Errorf("expiry times %v, want %s", ends, want)
	}
	if found := append(holding(t, s, "dead"), holding(t, s, "content of dead")...); len(found) > 0 {
		t.Errorf("after an erase there is still %v", found)
	}
	if len(holding(t, s, "lives")) == 0 {
		t.Error("the test looks for the wrong thing: a living id is not found")
	}
}

func TestAnEraseThatDiedIsFinishedByAnyBeat(t *testing.T) {
	ctx, cfg, p := t.Context(), place(t), &tap{}
	table := newTable(t, cfg)
	dying, other := open(t, table, with(cfg, p.option())), open(t, table, cfg)
	u := newSubject(t, other, "gone")
	other.mu.Lock()
	other.tidied = other.tidied.AddDate(-1, 0, 0)
	other.mu.Unlock()
	p.reset(func(_ int, op string, _ any) *trouble {
		if op != "PutItem" && op != "GetItem" {
			return &trouble{err: errLost}
		}
		return nil
	})
	if _, err := dying.Meta(ctx); err != nil {
		t.Fatal(err)
	}
	if err := dying.Erase(ctx, u.key, u.at, session.Tombstone{Until: 1 << 42}); fault.KindOf(err) != fault.OutcomeUnknown {
		t.Fatalf("an erase that died: %v", err)
	}
	if len(holding(t, other, "gone")) == 0 {
		t.Fatal("the erase did not die in the middle")
	}
	other.mu.Lock()
	other.tidied = other.tidied.AddDate(-1, 0, 0)
	other.mu.Unlock()
	u.must(other.Beat(ctx, session.Replica{ID: "r"}))
	other.work.Wait()
	if found := holding(t, other, "gone"); len(found) > 0 {
		t.Errorf("there is still %v", found)
	}
	head, _, err := other.Read(ctx, u.key, 0, 0)
	if err != nil || head.Tomb == nil || head.Life != 1 {
		t.Errorf("%+v, %v", head, err)
	}
}

func TestATombstoneWithMoreKeysThanAnItemHoldsIsKeptWhole(t *testing.T) {
	ctx, cfg := t.Context(), with(place(t), sizes(t))
	s := open(t, newTable(t, cfg), cfg)
	u := newSubject(t, s, "a")
	keys := make([]string, 12_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%064d", i)
	}
	u.must(s.Erase(ctx, u.key, u.at, session.Tombstone{Until: 1 << 42, Keys: keys}))
	head, _, err := s.Read(ctx, u.key, 0, 0)
	if err != nil || head.Tomb == nil || !slices.Equal(head.Tomb.Keys, keys) {
		t.Errorf("%v", err)
	}
	u.must(s.Erase(ctx, u.key, session.Position{Life: 1}, session.Tombstone{Until: 1 << 42}))
	items, err := s.all(ctx, between{pk: partition(u.key), from: ours, to: last})
	if err != nil || len(items) != 1 {
		t.Errorf("%d items are left, %v; want the tombstone", len(items), err)
	}
}
