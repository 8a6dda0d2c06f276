package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/memory"
)

// journal writes records of events to a session; spoil may change the last one before it is stored.
func journal(t *testing.T, store session.Store, id string, spoil func(*session.Record), records ...[]session.Event) {
	t.Helper()
	var at session.Position
	for i, events := range records {
		rec, _, err := session.NewRecord(at, "r1", 1, 1000, events)
		if err != nil {
			t.Fatal(err)
		}
		if i == len(records)-1 && spoil != nil {
			spoil(&rec)
		}
		if err := store.Append(context.Background(), session.Key{ID: id}, at, rec, session.Attention{}); err != nil {
			t.Fatal(err)
		}
		at = rec.Position()
	}
}

func TestVerifyNamesEverySessionThatIsNotSound(t *testing.T) {
	store := memory.New()
	defer func() { _ = store.Close() }()
	accepted := []session.Event{{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "a", Input: json.RawMessage(`{}`)}}}
	cancelled := []session.Event{{Type: session.TurnCancelled, Turn: session.Ref{Seq: 1}}}
	journal(t, store, "good", nil, accepted, cancelled)
	journal(t, store, "changed", func(r *session.Record) { r.Data = bytes.Replace(r.Data, []byte("r1"), []byte("r2"), 1) }, accepted)
	journal(t, store, "no-record", func(r *session.Record) { r.Data = []byte("{") }, accepted)
	journal(t, store, "not-a-state", nil, accepted, cancelled, cancelled)
	journal(t, store, "other-chain", func(r *session.Record) {
		other, _, err := session.NewRecord(session.Position{Life: 1, Len: 1, LastID: "00"}, "r1", 1, 1000, cancelled)
		if err != nil {
			t.Fatal(err)
		}
		*r = other
	}, accepted, cancelled)

	var out bytes.Buffer
	a := &app{out: &out, format: asJSON}
	err := a.verify(context.Background(), store, "")
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != fault.ExitFailed {
		t.Errorf("%v", err)
	}
	var got summary
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	bad := map[string]bool{}
	for _, v := range got.Bad {
		bad[v.Session] = v.Error != "" && !v.OK
	}
	if got.Sessions != 5 || len(bad) != 4 || !bad["changed"] || !bad["no-record"] || !bad["not-a-state"] || !bad["other-chain"] {
		t.Errorf("%+v", got)
	}

	for id, code := range map[string]int{"good": 0, "changed": fault.ExitFailed, "nothing": fault.ExitNotFound} {
		err := a.verify(context.Background(), store, id)
		if (err == nil) != (code == 0) || err != nil && exitCode(err) != code {
			t.Errorf("only %s: %v", id, err)
		}
	}
}

// TestVerifyChecksWhatATrimLeft: the snapshot stands for the records that are gone, and must be of this very journal. The
// sessions of every tenant are looked at.
func TestVerifyChecksWhatATrimLeft(t *testing.T) {
	store := memory.New()
	defer func() { _ = store.Close() }()
	ctx := context.Background()
	events := []session.Event{{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "a", Input: json.RawMessage(`{}`)}}}
	write := func(key session.Key, snapped, trimmed uint64) (spoiled session.Snapshot) {
		s, at := &session.Session{Key: key}, session.Position{}
		for n := uint64(1); n <= 10; n++ {
			rec, b, err := session.NewRecord(at, "r1", 1, 1000, events)
			if err == nil {
				err = store.Append(ctx, key, at, rec, session.Attention{})
			}
			if err == nil {
				err = s.ApplyBatch(rec, b)
			}
			if err != nil {
				t.Fatal(err)
			}
			at = rec.Position()
			if n != snapped {
				continue
			}
			data, err := session.Freeze(s)
			if err == nil {
				err = store.PutSnapshot(ctx, key, session.Snapshot{Life: 1, Seq: n, Data: data})
			}
			if err == nil {
				err = store.Trim(ctx, key, 1, trimmed)
			}
			if err != nil {
				t.Fatal(err)
			}
			spoiled = session.Snapshot{Life: 1, Seq: n, Data: bytes.Replace(data, []byte(s.At.LastID), []byte(strings.Repeat("0", len(s.At.LastID))), 1)}
		}
		return spoiled
	}
	verify := func() (got summary, err error) {
		var out bytes.Buffer
		err = (&app{out: &out, format: asJSON}).verify(ctx, store, "")
		if jerr := json.Unmarshal(out.Bytes(), &got); jerr != nil {
			t.Fatal(jerr)
		}
		return got, err
	}
	write(session.Key{ID: "behind"}, 6, 6)
	bad := write(session.Key{Tenant: "t", ID: "between"}, 6, 4)
	if got, err := verify(); err != nil || got.Sessions != 2 || got.Trimmed != 9 || got.Records != 11 {
		t.Errorf("sound: %+v, %v", got, err)
	}
	if err := store.PutSnapshot(ctx, session.Key{Tenant: "t", ID: "between"}, bad); err != nil {
		t.Fatal(err)
	}
	got, err := verify()
	if err == nil || len(got.Bad) != 1 || got.Bad[0].Tenant != "t" {
		t.Errorf("a snapshot of another journal: %+v, %v", got, err)
	}
}
