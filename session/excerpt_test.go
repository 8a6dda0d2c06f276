package session_test

import (
	"reflect"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"pgregory.net/rapid"
)

// TestAnExcerptIsWhatTheFoldHad: of random journals, every turn that has ended, from its own records alone.
func TestAnExcerptIsWhatTheFoldHad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{s: &session.Session{Key: key}, now: 1000, steady: true, ends: map[session.Ref]int{}, byHand: map[session.Ref]*tracks{}}
		h.grow(t, 40)
		had := map[session.Ref]*session.Turn{}
		s := &session.Session{Key: key}
		for _, rec := range h.recs {
			if err := s.Apply(rec); err != nil {
				t.Fatal(err)
			}
			for _, turn := range s.Turns {
				if had[turn.Ref] == nil && turn.State.Ended() && turn.EndSeq == rec.Seq {
					c := *turn
					c.Retried = false
					had[turn.Ref] = &c
				}
			}
		}
		for ref, want := range had {
			got, err := session.Excerpt(key, h.recs[ref.Seq-1:], ref, had[want.Request.RetryOf])
			if err != nil {
				t.Fatalf("turn %s: %v", ref, err)
			}
			// These journals claim sessions in ways that no replica does; see the next test for when a turn ran.
			got.StartedAt, got.Ran, got.Recoveries = want.StartedAt, want.Ran, want.Recoveries
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("turn %s\nis  %s\nwas %s", ref, compact(got), compact(want))
			}
		}
	})
}

// TestAnExcerptKnowsSinceWhenTheTurnRan: of journals as replicas write them.
func TestAnExcerptKnowsSinceWhenTheTurnRan(t *testing.T) {
	from := func(replica string, epoch uint64, from string) session.Event {
		e := claimed(replica, epoch)
		e.Claim.From = from
		return e
	}
	begin := func(events ...session.Event) *journal {
		return newJournal(t).at(1000).add(append([]session.Event{accepted()}, events...)...).at(2000)
	}
	for name, c := range map[string]struct {
		j    *journal
		ref  session.Ref
		want session.Millis
	}{
		"at once":                      {begin(from("r1", 1, "")).add(completed(1)), session.Ref{Seq: 1}, 1000},
		"claimed later":                {begin().add(from("r1", 1, "")).add(completed(1)), session.Ref{Seq: 1}, 2000},
		"behind one that ends":         {begin(from("r1", 1, "")).add(accepted()).at(3000).add(completed(1)).at(4000).add(completed(2)), session.Ref{Seq: 2}, 3000},
		"accepted with the end":        {begin(from("r1", 1, "")).add(accepted(), completed(1)).at(4000).add(completed(2)), session.Ref{Seq: 2}, 2000},
		"behind one that is released":  {begin(from("r1", 1, "")).add(accepted()).at(3000).add(done(1, "m0", session.ModelStep), released("r1")).at(4000).add(from("r2", 2, "")).at(5000).add(completed(1)).at(6000).add(completed(2)), session.Ref{Seq: 2}, 5000},
		"behind one that waits":        {begin(from("r1", 1, "")).add(accepted()).at(3000).add(waits(1, session.WaitApproval, 9000)).at(4000).add(cancelled(1), from("r2", 2, "")).at(5000).add(completed(2)), session.Ref{Seq: 2}, 4000},
		"behind one that stays wait":   {begin(from("r1", 1, "")).add(accepted()).at(3000).add(waits(1, session.WaitApproval, 9000)).at(4000).add(cancelled(1)).at(5000).add(from("r2", 2, "")).at(6000).add(completed(2)), session.Ref{Seq: 2}, 5000},
		"taken over in the queue":      {begin(from("r1", 1, "")).add(accepted()).at(3000).add(from("r2", 2, "r1")).at(4000).add(completed(1)).at(5000).add(completed(2)), session.Ref{Seq: 2}, 4000},
		"taken over when it was first": {begin(from("r1", 1, "")).add(accepted()).at(3000).add(completed(1)).at(4000).add(from("r2", 2, "r1")).at(5000).add(completed(2)), session.Ref{Seq: 2}, 3000},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := session.Excerpt(key, c.j.recs[c.ref.Seq-1:], c.ref, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := c.j.s.Turn(c.ref)
			if !reflect.DeepEqual(got, want) || got.StartedAt != c.want {
				t.Errorf("since %d, want %d\nis  %s\nwas %s", got.StartedAt, c.want, compact(got), compact(want))
			}
		})
	}
}

func TestAnExcerptNeedsTheTurnsRecords(t *testing.T) {
	j := running(t).add(done(1, "m0", session.ModelStep)).add(completed(1))
	ref := session.Ref{Seq: 1}
	if _, err := session.Excerpt(key, j.recs[1:], ref, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without the acceptance: %v", err)
	}
	if _, err := session.Excerpt(key, j.recs, session.Ref{Seq: 1, Index: 1}, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of no turn: %v", err)
	}
	part, err := session.Excerpt(key, j.recs[:3], ref, nil)
	if err != nil || part.State != session.Running || len(part.Steps) != 1 {
		t.Errorf("of a part: %+v, %v", part, err)
	}
	if _, err := session.Excerpt(key, []session.Record{j.recs[0], j.recs[2]}, ref, nil); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("with a gap: %v", err)
	}
}
