package session_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// These tests are run in each build: as it is, and with the tags akformat2 and akformat2w.

func TestAReleaseReadsWhatItWritesAndEverythingOlder(t *testing.T) {
	if session.Writes > session.Reads || session.Reads > session.Writes+1 {
		t.Fatalf("it reads %d and writes %d", session.Reads, session.Writes)
	}
	for v := 1; v <= session.Writes; v++ {
		rec, b, err := session.NewRecordIn(v, session.Position{}, "r1", 1, 1234, []session.Event{accepted()})
		if err != nil {
			t.Fatal(err)
		}
		back, err := rec.Decode()
		if err != nil || back.V != v || back.At != 1234 || b.At != 1234 || len(back.Events) != 1 {
			t.Errorf("version %d reads as %+v, %v", v, back, err)
		}
		if err := fold(t, nil).Apply(rec); err != nil {
			t.Errorf("version %d: %v", v, err)
		}
	}
	for _, v := range []int{0, -1, session.Writes + 1} {
		if _, _, err := session.NewRecordIn(v, session.Position{}, "r1", 1, 1234, nil); fault.KindOf(err) != fault.Internal {
			t.Errorf("it writes version %d: %v", v, err)
		}
	}
	_, b, err := session.NewRecord(session.Position{}, "r1", 1, 1234, nil)
	if err != nil || b.V != session.Writes {
		t.Errorf("it writes version %d, %v", b.V, err)
	}
}

// TestVersionsCanFollowEachOther: a journal that was begun under the old release goes on under the new one.
func TestVersionsCanFollowEachOther(t *testing.T) {
	s := &session.Session{Key: key}
	for i := range 6 {
		events := []session.Event{}
		if i == 0 {
			events = append(events, accepted())
		}
		rec, _, err := session.NewRecordIn(1+i%session.Writes, s.At, "r1", 0, session.Millis(1000+i), events)
		if err == nil {
			err = s.Apply(rec)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.Updated != 1005 || s.At.Len != 6 {
		t.Errorf("it stands at %d, at time %d", s.At.Len, s.Updated)
	}
}

// TestARecordOfTheNextVersionIsUnreadableNotCorrupt: the record is as builds with akformat2w write it.
func TestARecordOfTheNextVersionIsUnreadableNotCorrupt(t *testing.T) {
	data := []byte(`{"v":2,"life":1,"seq":1,"nonce":"0a","writer":"r1","events":[],"at":"1970-01-01T00:00:01.234Z"}`)
	b, err := record(1, data).Decode()
	if session.Reads >= 2 {
		if err != nil || b.At != 1234 || b.V != 2 {
			t.Errorf("%+v, %v", b, err)
		}
		if _, err := record(1, bytes.Replace(data, []byte("Z"), nil, 1)).Decode(); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("a time that is none: %v", err)
		}
		return
	}
	if fault.KindOf(err) != fault.Unreadable || fault.Try(err) == "" {
		t.Errorf("want unreadable and what to do, got %v", err)
	}
	var old session.Batch
	if json.Unmarshal(data, &old) == nil {
		t.Error("a reader of version 1 takes the bytes for its own")
	}
}
