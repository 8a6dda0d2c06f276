package session_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestARecordSaysWhatWasWritten(t *testing.T) {
	at := session.Position{Life: 2, Len: 7, LastID: strings.Repeat("ab", 16)}
	events := []session.Event{accepted(), claimed("r1", 3)}
	rec, b, err := session.NewRecord(at, "r1", 3, 1234, events)
	if err != nil {
		t.Fatal(err)
	}
	read, err := rec.Decode()
	if err != nil {
		t.Fatal(err)
	}
	want := session.Batch{
		V: session.Writes, Life: 2, Seq: 8, Prev: at.LastID, Nonce: b.Nonce, Writer: "r1", Epoch: 3, At: 1234, Events: events,
	}
	if !reflect.DeepEqual(read, want) || !reflect.DeepEqual(b, want) {
		t.Errorf("written %+v\nread    %+v\nwant    %+v", b, read, want)
	}
	if rec.ID != id(rec.Data) || rec.Life != 2 || rec.Seq != 8 || len(b.Nonce) != 12 {
		t.Errorf("%+v", rec)
	}
	if p := rec.Position(); p != (session.Position{Life: 2, Len: 8, LastID: rec.ID}) {
		t.Errorf("the journal stands at %+v", p)
	}
}

func TestEqualRecordsHaveDifferentIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		rec, _, err := session.NewRecord(session.Position{}, "r1", 0, 1, nil)
		if err != nil || seen[rec.ID] {
			t.Fatalf("again %s, %v", rec.ID, err)
		}
		seen[rec.ID] = true
	}
}

func TestWhatHasNoJSONFormIsNotWritten(t *testing.T) {
	e := accepted()
	e.Accepted.Input = json.RawMessage("{")
	if _, _, err := session.NewRecord(session.Position{}, "r1", 0, 1, []session.Event{e}); fault.KindOf(err) != fault.Internal {
		t.Errorf("want internal, got %v", err)
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	rec := newJournal(t).add(accepted(), claimed("r1", 1)).recs[0]
	for i := range rec.Data {
		for bit := range 8 {
			bad := rec
			bad.Data = append([]byte{}, rec.Data...)
			bad.Data[i] ^= 1 << bit
			if _, err := bad.Decode(); fault.KindOf(err) != fault.Corrupt {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	for i := range rec.ID {
		bad := rec
		bad.ID = rec.ID[:i] + string(rec.ID[i]^1) + rec.ID[i+1:]
		if _, err := bad.Decode(); fault.KindOf(err) != fault.Corrupt {
			t.Fatalf("character %d of the id: %v", i, err)
		}
	}
	for _, bad := range []session.Record{
		{Life: 1, Seq: 1, ID: rec.ID, Data: rec.Data[:len(rec.Data)-1]},
		{Life: 1, Seq: 1, ID: rec.ID, Data: append(rec.Data[:len(rec.Data):len(rec.Data)], ' ')},
		{Life: 1, Seq: 1, ID: "", Data: rec.Data},
		{Life: 1, Seq: 1, ID: rec.ID[:31], Data: rec.Data},
		{Life: 1, Seq: 1, ID: strings.ToUpper(rec.ID), Data: rec.Data},
		{Life: 1, Seq: 1},
	} {
		if _, err := bad.Decode(); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestDecodeTellsNewerFromCorrupt(t *testing.T) {
	cases := []struct {
		name, data string
		want       fault.Kind
		says       string
	}{
		{"as written", `{"v":1,"life":1,"seq":5,"nonce":"","writer":"r","at":1,"events":null}`, "", ""},
		{"a field that this release does not know", `{"v":1,"life":1,"seq":5,"mood":"good","events":[{"type":"x","mood":1}]}`, "", ""},
		{
			"a newer version", fmt.Sprintf(`{"v":%d,"life":1,"seq":5,"events":[]}`, session.Reads+1), fault.Unreadable,
			fmt.Sprintf("version %d, this release reads up to %d", session.Reads+1, session.Reads),
		},
		{"a newer version with fields of other shapes", `{"v":3,"life":"one","seq":[5],"events":{}}`, fault.Unreadable, "version 3"},
		{"a newer version, although in another place", `{"v":9,"life":9,"seq":9}`, fault.Unreadable, "version 9"},
		{"this version with fields of other shapes", `{"v":1,"life":"one","seq":5}`, fault.Corrupt, "is not a record"},
		{"no version", `{"life":1,"seq":5}`, fault.Corrupt, "version 0"},
		{"a version below the first", `{"v":-1,"life":1,"seq":5}`, fault.Corrupt, "version -1"},
		{"another place", `{"v":1,"life":1,"seq":6}`, fault.Corrupt, "says that it is 1.6"},
		{"another life", `{"v":1,"life":2,"seq":5}`, fault.Corrupt, "says that it is 2.5"},
		{"cut off", `{"v":1,"life":1,"seq":5`, fault.Corrupt, "is not a record"},
		{"two documents", `{"v":1,"life":1,"seq":5}{}`, fault.Corrupt, "is not a record"},
		{"a turn reference that is none", `{"v":1,"life":1,"seq":5,"events":[{"type":"turn.failed","turn":"x"}]}`, fault.Corrupt, "is not a record"},
		{"not an object", `[1]`, fault.Corrupt, "is not a record"},
		{"null", `null`, fault.Corrupt, "version 0"},
		{"nothing", ``, fault.Corrupt, "is not a record"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := record(5, []byte(c.data)).Decode()
			if fault.KindOf(err) != c.want {
				t.Fatalf("want %q, got %v", c.want, err)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "record 1.5") {
				t.Errorf("%q does not say %q and name the record", err, c.says)
			}
			if c.want == fault.Unreadable && fault.Try(err) == "" {
				t.Error("nobody is told what to do")
			}
		})
	}
}

func TestANewerRecordIsUnreadableToTheFoldToo(t *testing.T) {
	j := running(t)
	data := fmt.Sprintf(`{"v":%d,"life":1,"seq":3,"prev":%q,"at":2000}`, session.Reads+1, j.s.At.LastID)
	if err := j.s.Apply(record(3, []byte(data))); fault.KindOf(err) != fault.Unreadable {
		t.Errorf("want unreadable, got %v", err)
	}
}

func TestVerifyFollowsTheChain(t *testing.T) {
	recs := running(t).add(completed(1)).add(accepted()).recs
	end := recs[3].Position()
	other := newJournal(t).add(accepted()).add(claimed("r1", 1)).add(completed(1)).recs
	nextLife, _, err := session.NewRecord(session.Position{Life: 1}, "r1", 0, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	jump := func() session.Record { // follows record 2, but for its life
		data := fmt.Sprintf(`{"v":1,"life":2,"seq":3,"prev":%q,"at":1}`, recs[1].ID)
		return session.Record{Life: 2, Seq: 3, ID: id([]byte(data)), Data: []byte(data)}
	}()
	skips := record(4, []byte(fmt.Sprintf(`{"v":1,"life":1,"seq":4,"prev":%q,"at":1}`, recs[1].ID)))
	headless := record(1, []byte(`{"v":1,"life":1,"seq":1,"prev":"x","at":1}`))
	flipped := recs[2]
	flipped.Data = append([]byte(" "), flipped.Data...)
	cases := []struct {
		name string
		at   session.Position
		recs []session.Record
		end  session.Position
		bad  bool
	}{
		{"nothing", session.Position{}, nil, session.Position{}, false},
		{"all", session.Position{}, recs, end, false},
		{"a tail", recs[1].Position(), recs[2:], end, false},
		{"after an erase", session.Position{Life: 1}, []session.Record{nextLife}, nextLife.Position(), false},
		{"of an id that lived already", session.Position{Life: 2}, recs, session.Position{Life: 2}, true},
		{"a gap", session.Position{}, []session.Record{recs[0], recs[2]}, recs[0].Position(), true},
		{"a number left out", session.Position{}, []session.Record{recs[0], recs[1], skips}, recs[1].Position(), true},
		{"a beginning that is missing", session.Position{}, recs[1:], session.Position{}, true},
		{"a beginning with something before it", session.Position{}, []session.Record{headless}, session.Position{}, true},
		{"one record twice", session.Position{}, []session.Record{recs[0], recs[0]}, recs[0].Position(), true},
		{"another history's tail", session.Position{}, []session.Record{recs[0], recs[1], other[2]}, recs[1].Position(), true},
		{"another life's record", session.Position{}, []session.Record{recs[0], recs[1], jump}, recs[1].Position(), true},
		{"a changed record", session.Position{}, []session.Record{recs[0], recs[1], flipped, recs[3]}, recs[1].Position(), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			end, err := session.Verify(c.at, c.recs)
			if end != c.end {
				t.Errorf("it ends at %+v, want %+v", end, c.end)
			}
			if (fault.KindOf(err) == fault.Corrupt) != c.bad || (err != nil) != c.bad {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestTurnIDsNameTheTurnWhateverTheSessionIsCalled(t *testing.T) {
	rec := newJournal(t).add(accepted()).recs[0]
	rec.Life, rec.Seq = 3, math.MaxUint64
	for _, name := range []string{"a", "a.b", "1.2.3", "-._:@+=", "a@b.c", "...", strings.Repeat("x", session.MaxID)} {
		turn := session.MakeTurnID(name, rec, 12)
		text := turn.String()
		if want := name + "~3.18446744073709551615.12." + rec.ID[:8]; text != want {
			t.Errorf("%s, want %s", text, want)
		}
		back, err := session.ParseTurnID(text)
		if err != nil || back != turn || back.IsZero() {
			t.Errorf("%s reads as %+v, %v", text, back, err)
		}
		b, err := json.Marshal(turn)
		var read session.TurnID
		if err != nil || json.Unmarshal(b, &read) != nil || read != turn {
			t.Errorf("%s reads as %+v, %v", b, read, err)
		}
	}
	if zero := (session.TurnID{}); !zero.IsZero() || zero.String() != "" {
		t.Errorf("no turn is called %q", zero)
	}
}

func TestWhatIsNoTurnIDIsABadRequest(t *testing.T) {
	const good = "s~1.2.3.0123abcd"
	if _, err := session.ParseTurnID(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "s", "~1.2.3.0123abcd", "s1.2.3.0123abcd", "s/x~1.2.3.0123abcd", "..~1.2.3.0123abcd", "s~t~1.2.3.0123abcd",
		"s~0.2.3.0123abcd", "s~1.0.3.0123abcd", "s~01.2.3.0123abcd", "s~1.02.3.0123abcd", "s~1.2.03.0123abcd",
		"s~+1.2.3.0123abcd", "s~1.2.-3.0123abcd", "s~1.2.3", "s~1.2.3.", "s~1.2.3.0123abc", "s~1.2.3.0123abcde",
		"s~1.2.3.0123ABCD", "s~1.2.3.0123abcg", "s~1.2.3.4.0123abcd", "s~x.2.3.0123abcd", "s~1.x.3.0123abcd", "s~1.2.x.0123abcd",
		"s~18446744073709551616.2.3.0123abcd", "s~1.18446744073709551616.3.0123abcd", "s~1.2.2147483648.0123abcd",
		" " + good, good + " ", good + "\n", strings.Repeat("x", session.MaxID+1) + "~1.2.3.0123abcd",
	} {
		turn, err := session.ParseTurnID(bad)
		if fault.KindOf(err) != fault.BadRequest || fault.Try(err) == "" || !turn.IsZero() {
			t.Errorf("%q reads as %+v, %v", bad, turn, err)
		}
	}
	_, err := session.ParseTurnID(strings.Repeat("x", 1<<20))
	if n := len(err.Error()); n > 300 {
		t.Errorf("the error repeats %d bytes of the input", n)
	}
}

func TestRefsAreOrderedAsTurnsAreAccepted(t *testing.T) {
	refs := []session.Ref{{}, {Seq: 1}, {Seq: 1, Index: 1}, {Seq: 1, Index: 10}, {Seq: 2}, {Seq: 10}, {Seq: math.MaxUint64, Index: math.MaxInt32}}
	for i, a := range refs {
		for k, b := range refs {
			if a.Less(b) != (i < k) {
				t.Errorf("%s before %s: %t", a, b, a.Less(b))
			}
		}
		if a.IsZero() != (i == 0) {
			t.Errorf("%s is zero: %t", a, a.IsZero())
		}
		if i == 0 {
			continue
		}
		b, err := json.Marshal(a)
		var read session.Ref
		if err != nil || json.Unmarshal(b, &read) != nil || read != a {
			t.Errorf("%s reads as %s, %v", b, read, err)
		}
	}
	for _, bad := range []string{"", "1", "1.", ".1", "0.0", "0.1", "-1.0", "1.-1", "1.2.3", "a.b", "1.2147483648", "18446744073709551616.0", "1 .0"} {
		var r session.Ref
		if err := r.UnmarshalText([]byte(bad)); err == nil || !r.IsZero() {
			t.Errorf("%q reads as %s", bad, r)
		}
	}
}

func TestIDsAreOfFewCharacters(t *testing.T) {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:@+="
	for c := rune(0); c < 0x300; c++ {
		err := session.CheckID("session id", "a"+string(c))
		if ok := strings.ContainsRune(allowed, c); (err == nil) != ok {
			t.Errorf("%q: %v", c, err)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", c)) {
			t.Errorf("%q does not name %q", err, c)
		}
	}
	for id, ok := range map[string]bool{
		"a": true, "...": true, "-": true, ".a": true, strings.Repeat("x", session.MaxID): true,
		"": false, ".": false, "..": false, "a\xff": false, "日本": false, strings.Repeat("x", session.MaxID+1): false,
	} {
		err := session.CheckID("tenant", id)
		if (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
		if err != nil && (fault.KindOf(err) != fault.BadRequest || !strings.HasPrefix(err.Error(), "tenant ")) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestNoTwoKeysShareAStorageForm(t *testing.T) {
	parts := []string{"a", "b", "a-b", "a.b", "a:b", "a@b", "a=b", "a+b"}
	seen := map[string]session.Key{}
	for _, tenant := range append(parts, "") {
		for _, name := range parts {
			k := session.Key{Tenant: tenant, ID: name}
			if other, twice := seen[k.String()]; twice {
				t.Errorf("%+v and %+v are both %s", k, other, k)
			}
			seen[k.String()] = k
			if back := session.ParseKey(k.String()); back != k {
				t.Errorf("%s reads as %+v", k, back)
			}
		}
	}
}
