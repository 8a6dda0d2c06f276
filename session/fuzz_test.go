package session_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// FuzzDecode reads arbitrary bytes under their right id. What can be read can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"life":1,"seq":1,"nonce":"00","writer":"r","at":1,"events":[{"type":"turn.accepted","accepted":{"agent":"a","input":"hi"}}]}`))
	f.Add([]byte(`{"v":2,"life":1,"seq":1,"events":{"new":true}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := record(1, data).Decode()
		if err != nil {
			if k := fault.KindOf(err); k != fault.Corrupt && k != fault.Unreadable {
				t.Fatalf("%s: %v", k, err)
			}
			return
		}
		again, err := json.Marshal(b)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		b2, err := record(1, again).Decode()
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if third, err := json.Marshal(b2); err != nil || string(third) != string(again) {
			t.Fatalf("%s became %s, %v", again, third, err)
		}
		s := &session.Session{Key: key}
		if err := s.Apply(record(1, data)); err != nil && fault.KindOf(err) != fault.Corrupt {
			t.Fatalf("%v", err)
		}
	})
}

// FuzzEvents proposes arbitrary events to a session with turns in every state. Preview and Apply agree, and neither
// panics.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`[{"type":"turn.completed","turn":"2.0","reply":{"text":"hi"}},{"type":"state.set","turn":"2.0","set":{"name":"n","value":1}}]`))
	f.Add([]byte(`[{"type":"turn.accepted","accepted":{"agent":"a","input":null,"retry_of":"1.0"}}]`))
	j := newJournal(f)
	j.add(accepted(), accepted()).add(accepted()).add(accepted(), claimed("r1", 1))
	j.add(started(1, "c"), inDoubt(1, "c")).add(healed(1, "c"), failedTurn(1))
	j.add(session.Event{Type: session.TurnCancelled, Turn: session.Ref{Seq: 1, Index: 1}})
	j.add(started(2, "c"), started(2, "d"), inDoubt(2, "d"), done(2, "m0", session.ModelStep))
	f.Fuzz(func(t *testing.T, data []byte) {
		var events []session.Event
		if json.Unmarshal(data, &events) != nil {
			return
		}
		on := &journal{t: t, s: fold(t, j.recs), now: 5000, recs: j.recs}
		if err := on.try(events...); err == nil {
			same(t, "a reader", on.s, fold(t, on.recs))
		} else if fault.KindOf(err) != fault.Corrupt {
			t.Fatalf("%v", err)
		}
	})
}

func FuzzParseTurnID(f *testing.F) {
	f.Add("s~1.2.3.0123abcd")
	f.Add("a.b@c~18446744073709551615.1.0.ffffffff")
	f.Fuzz(func(t *testing.T, text string) {
		turn, err := session.ParseTurnID(text)
		if err != nil {
			if fault.KindOf(err) != fault.BadRequest || !turn.IsZero() {
				t.Fatalf("%+v, %v", turn, err)
			}
			return
		}
		if turn.String() != text {
			t.Fatalf("%q reads as %q", text, turn)
		}
		if turn.Life == 0 || turn.Ref.IsZero() || len(turn.Tag) != 8 || session.CheckID("", turn.Session) != nil {
			t.Fatalf("%q reads as %+v", text, turn)
		}
	})
}

func FuzzRef(f *testing.F) {
	f.Add("1.0")
	f.Add("18446744073709551615.2147483647")
	f.Fuzz(func(t *testing.T, text string) {
		var r session.Ref
		if err := r.UnmarshalText([]byte(text)); err != nil {
			if !r.IsZero() {
				t.Fatalf("%q reads as %s and %v", text, r, err)
			}
			return
		}
		var again session.Ref
		if b, err := r.MarshalText(); err != nil || again.UnmarshalText(b) != nil || again != r || r.IsZero() || r.Index < 0 {
			t.Fatalf("%q reads as %+v, then as %+v", text, r, again)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("tenant", "id")
	f.Add("", "id")
	f.Add("", "tenant/id")
	f.Fuzz(func(t *testing.T, tenant, name string) {
		k := session.Key{Tenant: tenant, ID: name}
		if !strings.HasPrefix(k.String(), "/") && session.ParseKey(k.String()).String() != k.String() {
			t.Fatalf("%+v is stored as %s, which is stored as %s", k, k, session.ParseKey(k.String()))
		}
		if tenant != "" && session.CheckID("", tenant) != nil || session.CheckID("", name) != nil {
			return
		}
		if back := session.ParseKey(k.String()); !reflect.DeepEqual(back, k) {
			t.Fatalf("%+v reads as %+v", k, back)
		}
	})
}
