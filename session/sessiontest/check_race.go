package sessiontest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/agentkernel/agentkernel/session"
)

var raceChecks = []check{
	{name: "of concurrent appends at one position exactly one wins", run: checkOneWinner},
	{name: "of an append and an erase at one position exactly one wins", run: checkEraseRace},
	{name: "head and records are read as of one moment", run: checkOneMoment},
}

func isConflict(err error) bool { return errors.Is(err, session.ErrConflict) }

func isNotSent(err error) bool { return errors.Is(err, session.ErrNotSent) }

// together starts the calls at the same time and returns what each answered.
func together(calls ...func() error) []error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i, call := range calls {
		wg.Go(func() {
			<-gate
			errs[i] = call()
		})
	}
	close(gate)
	wg.Wait()
	return errs
}

func checkOneWinner(r *run) {
	const rounds, writers = 25, 8
	key, stores := id("a"), []session.Store{r.s, r.second()}
	var at session.Position
	var all []session.Record
	for round := range rounds {
		offers := make([]session.Record, writers)
		calls := make([]func() error, writers)
		for w := range writers {
			offers[w] = record(at, fmt.Sprintf("writer %d", w))
			calls[w] = func() error {
				return stores[w%2].Append(r.ctx, key, at, offers[w], session.Attention{Owner: fmt.Sprint(w)})
			}
		}
		winner := -1
		for w, err := range together(calls...) {
			if err == nil {
				r.want(winner < 0, "round %d: writers %d and %d both won", round, winner, w)
				winner = w
			} else {
				r.want(isConflict(err), "round %d: writer %d lost with %v, want a conflict", round, w, err)
			}
		}
		if !r.want(winner >= 0, "round %d: nobody won", round) {
			return
		}
		at, all = offers[winner].Position(), append(all, offers[winner])
		r.wantHead(stores[round%2], key, at, session.Attention{Owner: fmt.Sprint(winner)}, "after a race")
	}
	r.wantRecords(r.s, key, 0, all, "after all races")
}

func checkEraseRace(r *run) {
	const rounds = 25
	key, two := id("a"), r.second()
	var at session.Position
	for round := range rounds {
		at, _ = r.grow(key, at, 1, session.Attention{Due: 5})
		rec := record(at, "append")
		errs := together(
			func() error { return r.s.Append(r.ctx, key, at, rec, session.Attention{Due: 5}) },
			func() error { return two.Erase(r.ctx, key, at, session.Tombstone{Until: farFuture}) },
		)
		head, records, err := r.s.Read(r.ctx, key, 0, 0)
		r.need(err, "read after a race")
		switch {
		case errs[0] == nil && isConflict(errs[1]):
			r.want(head.Position == rec.Position() && len(records) == int(rec.Seq), "round %d: the append won, the head is %s with %d records", round, show(head), len(records))
		case errs[1] == nil && isConflict(errs[0]):
			r.want(head.Position == session.Position{Life: at.Life} && len(records) == 0, "round %d: the erase won, the head is %s with %d records", round, show(head), len(records))
		default:
			r.want(false, "round %d: the append answered %v and the erase %v, want one winner and one conflict", round, errs[0], errs[1])
			return
		}
		at = head.Position
	}
}

func checkOneMoment(r *run) {
	const reads, appends = 60, 300
	key, two := id("a"), r.second()
	at, _ := r.grow(key, session.Position{}, 1, session.Attention{Epoch: 1})
	enough, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for range appends {
			rec := record(at, "moment")
			if err := r.s.Append(r.ctx, key, at, rec, session.Attention{Epoch: rec.Seq}); err != nil {
				done <- err
				return
			}
			at = rec.Position()
			select {
			case <-enough:
				done <- nil
				return
			default:
			}
		}
		done <- nil
	}()
	for range reads {
		head, records, err := two.Read(r.ctx, key, 0, 0)
		if r.want(err == nil, "read while appending: %v", err) && r.want(len(records) > 0, "read nothing under %s", show(head)) {
			last := records[len(records)-1].Position()
			r.want(head.Position == last && head.Epoch == head.Len, "the head is %s, the last record read with it is %+v", show(head), last)
		}
	}
	close(enough)
	r.need(<-done, "append while reading")
}
