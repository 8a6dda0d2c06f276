package agentkernel

import (
	"context"
	"errors"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

const (
	pastPage = 128 // records per read
	maxChain = 100 // retries of retries that are followed
)

// past is a turn that the fold has let go of, from its records. It is Gone when they were trimmed, and LostByStore when
// another turn stands in its place. It takes a read for every 128 records between the turn's acceptance and its end, and
// as much for each turn that it retries.
func (j *journal) past(ctx context.Context, id session.TurnID) (*session.Turn, error) {
	t, err := j.k.excerpt(ctx, j.key, id.Life, id.Ref, maxChain)
	if err != nil {
		return nil, err
	}
	if t.ID != id {
		j.k.obs.LostByStore()
		return nil, fault.New(fault.LostByStore, "", "the store no longer has turn %s, which it had acknowledged, or the id is not a real one", id)
	}
	return t, nil
}

func (k *Kernel) excerpt(ctx context.Context, key session.Key, life uint64, ref session.Ref, depth int) (*session.Turn, error) {
	gone := func(why string) error {
		return fault.New(fault.Gone, "", "turn %s of session %s cannot be shown any more: %s", ref, key.ID, why)
	}
	var x *session.Excerpter
	for after := ref.Seq - 1; ; after += pastPage {
		head, records, err := k.readRecords(ctx, key, after, pastPage)
		switch {
		case errors.Is(err, session.ErrTrimmed):
			return nil, gone("its records were trimmed after the retention time")
		case err != nil:
			return nil, fault.New(kindOfStore(err), "", "the turn cannot be read: %w", err).WithAfter(time.Second)
		case head.Life != life:
			return nil, gone("its session was erased")
		case len(records) == 0:
			return nil, fault.New(fault.Corrupt, "", "turn %s of session %s has not ended in its journal", ref, key.ID)
		}
		if x == nil {
			if x, err = k.excerpter(ctx, key, records[0], ref, depth); err != nil {
				return nil, err
			}
		}
		for _, r := range records {
			if ended, err := x.Add(r); err != nil {
				return nil, err
			} else if ended {
				return x.Turn(), nil
			}
		}
		if x.Turn() == nil {
			return nil, fault.New(fault.NotFound, "", "there is no turn %s in session %s", ref, key.ID)
		}
	}
}

// excerpter begins an excerpt with what the turn inherits. first is the record that accepted it.
func (k *Kernel) excerpter(ctx context.Context, key session.Key, first session.Record, ref session.Ref, depth int) (*session.Excerpter, error) {
	b, err := first.Decode()
	if err != nil {
		return nil, err
	}
	var from *session.Turn
	if ref.Index < len(b.Events) {
		if a := b.Events[ref.Index].Accepted; a != nil && !a.RetryOf.IsZero() && a.RetryOf.Less(ref) && depth > 0 {
			if from, err = k.excerpt(ctx, key, b.Life, a.RetryOf, depth-1); err != nil {
				return nil, err
			}
		}
	}
	return session.NewExcerpter(key, ref, from), nil
}
