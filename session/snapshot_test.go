package session_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"pgregory.net/rapid"
)

// freeze writes s down and says where it stands.
func freeze(t tester, s *session.Session) session.Snapshot {
	t.Helper()
	data, err := session.Freeze(s)
	if err != nil {
		t.Fatalf("freeze: %v", err)
	}
	return session.Snapshot{Life: s.At.Life, Seq: s.At.Len, Data: data}
}

// grow adds some records, at most so many.
func (h *history) grow(t *rapid.T, most int) {
	for range rapid.IntRange(1, most).Draw(t, "records") {
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			h.propose(t, h.event(t, session.TurnAccepted), h.claim(t, 1))
		case 1:
			h.propose(t, retryOf(h.ended(t)), h.claim(t, 1))
		case 2:
			h.propose(t, h.fitting(t), h.fitting(t))
		case 3:
			h.propose(t, h.some(t, ending, 1)...)
		case 4:
			h.propose(t, h.some(t, ordinary, 4)...)
		default:
			h.rarely(t, append(h.endAll(), cleared())...)
		}
	}
}

// TestASnapshotAndTheRecordsBehindItAreTheWholeJournal: for random journals, and for every place in them.
func TestASnapshotAndTheRecordsBehindItAreTheWholeJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{s: &session.Session{Key: key}, now: 1000, ends: map[session.Ref]int{}, byHand: map[session.Ref]*tracks{}}
		h.grow(t, 25)
		for n := range h.recs {
			first := fold(t, h.recs[:n+1])
			copied := first.Copy()
			same(t, "a copy", first, copied)
			snap := freeze(t, copied)
			thawed, err := session.Thaw(key, snap)
			if err != nil {
				t.Fatalf("thaw after %d: %v", n+1, err)
			}
			same(t, fmt.Sprint("thawed after ", n+1), first, thawed)
			for _, rec := range h.recs[n+1:] {
				if err := first.Apply(rec); err != nil {
					t.Fatalf("fold: %v", err)
				}
				if err := thawed.Apply(rec); err != nil {
					t.Fatalf("after a snapshot at %d: %v", n+1, err)
				}
			}
			same(t, fmt.Sprint("all, by a snapshot at ", n+1), h.s, thawed)
			if a, b := h.s.Attention(500), thawed.Attention(500); a != b {
				t.Fatalf("attention %+v, by a snapshot at %d %+v", a, n+1, b)
			}
			if again := freeze(t, copied); !bytes.Equal(again.Data, snap.Data) {
				t.Fatalf("what came after %d shows in the copy", n+1)
			}
		}
	})
}

// rebuilt are the unexported fields of the fold's types: how each comes back from a snapshot. Who adds one says so here,
// after making it true.
var rebuilt = map[string]string{
	"Session.byRef":   "made of Turns",
	"Session.keys":    "carried as Keys",
	"Session.fifo":    "carried as Fifo",
	"Session.trail":   "carried as Trail",
	"Session.preview": "never set outside of a preview",
	"Session.left":    "never set outside of a preview",
}

// filler sets everything that can be reached to something that is not zero.
type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch x := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*x = json.RawMessage(fmt.Sprintf(`{"n":%d}`, f.n))
		return
	case *session.Ref:
		*x = session.Ref{Seq: uint64(f.n), Index: 1}
		return
	case *session.TurnID:
		*x = session.TurnID{Session: "s", Life: uint64(f.n), Ref: session.Ref{Seq: 1}, Tag: "0123abcd"}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint64:
		v.SetUint(uint64(f.n))
	case reflect.Float64:
		v.SetFloat(float64(f.n) / 3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	default:
		panic("a field of kind " + v.Kind().String() + " cannot be carried")
	}
}

// TestASnapshotCarriesEveryFieldOfTheFold: whatever is added to the fold's types.
func TestASnapshotCarriesEveryFieldOfTheFold(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[session.Session](), reflect.TypeFor[session.Turn](), reflect.TypeFor[session.Step](), reflect.TypeFor[session.KeyUse]()} {
		for i := range typ.NumField() {
			if f := typ.Field(i); !f.IsExported() && rebuilt[typ.Name()+"."+f.Name] == "" {
				t.Errorf("%s.%s is not carried: see Freeze and Thaw", typ.Name(), f.Name)
			}
		}
	}
	for _, what := range []string{"everything", "as little as a turn has"} {
		s := &session.Session{Key: key, At: session.Position{Life: 1, Len: 1, LastID: "x"}}
		if what == "everything" {
			(&filler{}).fill(reflect.ValueOf(s).Elem())
		} else {
			id := session.TurnID{Session: "s", Life: 1, Ref: session.Ref{Seq: 1}, Tag: "0123abcd"}
			s.Turns = []*session.Turn{{ID: id, Ref: id.Ref, Root: id}}
		}
		s.Open = s.Turns[len(s.Turns)-1:]
		s = s.Copy() // which makes what no test can set
		back, err := session.Thaw(s.Key, freeze(t, s))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a, b := dump(s), dump(back); a != b || len(back.Open) != 1 || back.Open[0] != back.Turns[len(back.Turns)-1] {
			t.Errorf("%s: went in as %s\ncame out as %s", what, a, b)
		}
		if again := freeze(t, back); !bytes.Equal(again.Data, freeze(t, s).Data) {
			t.Errorf("%s: frozen again it is another one", what)
		}
	}
}

// TestACopySharesNothingThatApplyChanges: maps and slices of the session that are not cloned would be written by the
// fold while a snapshot is made.
func TestACopySharesNothingThatApplyChanges(t *testing.T) {
	s := &session.Session{}
	(&filler{}).fill(reflect.ValueOf(s).Elem())
	for i, turn := range s.Turns {
		turn.State = []session.TurnState{session.Completed, session.Running}[i]
	}
	s.Open = s.Turns[1:]
	a, b := reflect.ValueOf(s).Elem(), reflect.ValueOf(s.Copy()).Elem()
	for i := range a.NumField() {
		if k := a.Field(i).Kind(); (k == reflect.Map || k == reflect.Slice) && a.Field(i).Len() > 0 && a.Field(i).Pointer() == b.Field(i).Pointer() {
			t.Errorf("Session.%s is shared", a.Type().Field(i).Name)
		}
	}
}

func TestASnapshotThatIsNotWhatItShouldBeIsRefused(t *testing.T) {
	j := running(t)
	good := freeze(t, j.s)
	change := func(old, new string) session.Snapshot {
		s := good
		if s.Data = bytes.Replace(s.Data, []byte(old), []byte(new), 1); bytes.Equal(s.Data, good.Data) {
			t.Fatalf("nothing says %s in %s", old, good.Data)
		}
		return s
	}
	resealed := func(old, new string) session.Snapshot {
		var f struct {
			Fold  int             `json:"fold"`
			Sum   string          `json:"sum"`
			State json.RawMessage `json:"state"`
		}
		if err := json.Unmarshal(good.Data, &f); err != nil || !strings.Contains(string(f.State), old) {
			t.Fatalf("nothing says %s in %s", old, f.State)
		}
		f.State = bytes.Replace(f.State, []byte(old), []byte(new), 1)
		f.Sum = sum(f.State)
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return session.Snapshot{Life: good.Life, Seq: good.Seq, Data: data}
	}
	for name, c := range map[string]struct {
		snap session.Snapshot
		want fault.Kind
	}{
		"nothing":           {session.Snapshot{Life: 1, Seq: 2}, fault.Corrupt},
		"cut off":           {session.Snapshot{Life: 1, Seq: 2, Data: good.Data[:len(good.Data)-9]}, fault.Corrupt},
		"changed":           {change(`"Owner":"r1"`, `"Owner":"r2"`), fault.Corrupt},
		"a newer fold":      {change(`"fold":1`, `"fold":2`), fault.Unreadable},
		"an older fold":     {change(`"fold":1`, `"fold":0`), fault.Unreadable},
		"an unknown field":  {resealed(`"Owner":`, `"Mood":"good","Owner":`), fault.Unreadable},
		"another shape":     {resealed(`"Owner":"r1"`, `"Owner":{}`), fault.Unreadable},
		"another life":      {session.Snapshot{Life: 2, Seq: 2, Data: good.Data}, fault.Corrupt},
		"another place":     {session.Snapshot{Life: 1, Seq: 3, Data: good.Data}, fault.Corrupt},
		"another session":   {resealed(`"id":"s-1"`, `"id":"s-2"`), fault.Corrupt},
		"an unknown turn":   {resealed(`"Open":["1.0"]`, `"Open":["9.0"]`), fault.Corrupt},
		"as it was written": {good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := session.Thaw(key, c.snap); fault.KindOf(err) != c.want || (s == nil) != (err != nil) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestTheTrailKnowsTheNewestRecordsAndWhatMayGo(t *testing.T) {
	s, ids := &session.Session{Key: key}, []string{""}
	add := func(n int, events ...session.Event) {
		for range n {
			rec, b, err := session.NewRecord(s.At, "r1", 0, session.Millis(1000+len(ids)), events)
			if err == nil {
				err = s.ApplyBatch(rec, b)
			}
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, rec.ID)
		}
	}
	add(3000)
	for _, seq := range []uint64{3000, 2999, 2500, 2489} {
		if wrote, known := s.Wrote(seq, ids[seq]); !wrote || !known {
			t.Errorf("record %d: %t, %t", seq, wrote, known)
		}
		if wrote, known := s.Wrote(seq, "other"); wrote || !known {
			t.Errorf("another record %d: %t, %t", seq, wrote, known)
		}
	}
	if wrote, known := s.Wrote(3001, "x"); wrote || !known {
		t.Error("what was not written is not known as that")
	}
	if _, known := s.Wrote(1000, ids[1000]); known {
		t.Error("it remembers everything")
	}
	for before, want := range map[session.Millis]uint64{0: 0, 1064: 0, 1065: 64, 1128: 64, 1129: 128, 9999: 2944} {
		if got := s.TrimTo(before); got != want {
			t.Errorf("up to %d may go what was written before %d, want %d", got, before, want)
		}
	}
	add(1, accepted()) // 3001
	add(200)
	if got := s.TrimTo(1 << 40); got != 3000 {
		t.Errorf("up to %d may go, want what is before the unfinished turn", got)
	}
	add(1, cancelled(3001))
	add(40_000)
	if n := len(freeze(t, s).Data); n > 100_000 {
		t.Errorf("the snapshot of an empty session with many records has %d bytes", n)
	}
	for _, age := range []uint64{100, 1000, 10_000, 40_000} {
		got := s.TrimTo(session.Millis(1000 + s.At.Len - age))
		if want := s.At.Len - age; got > want || got+64+age/2 < want {
			t.Errorf("up to %d may go of what is %d records old, which is %d", got, age, want)
		}
	}
}

func TestNoCheckpointIsMadeInAPreview(t *testing.T) {
	j := newJournal(t)
	for len(j.recs) < 63 {
		j.add()
	}
	before := freeze(t, j.s)
	rec, b, err := session.NewRecord(j.s.At, "r1", 0, 2000, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.s.Preview(rec, b, 0); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before.Data, freeze(t, j.s).Data) {
		t.Error("a preview left a trace")
	}
}
