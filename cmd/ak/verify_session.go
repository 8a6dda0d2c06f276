package main

import (
	"context"
	"errors"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// check is one session's journal on its way from the oldest record that is kept to the head.
type check struct {
	store session.Store
	head  session.Head
	at    session.Position
	s     *session.Session // the fold; nil before the place that the snapshot is of
	snap  *session.Session // where the oldest records were trimmed, what stands for them
	first uint64           // the oldest record that is kept
}

// verifySession follows a journal to its head. What is appended meanwhile is not looked at.
func verifySession(ctx context.Context, store session.Store, h session.Head) verdict {
	c := &check{
		store: store, head: h, first: 1,
		at: session.Position{Life: h.Life - 1}, // the place in front of this life
		s:  &session.Session{Key: h.Key},
	}
	err := c.run(ctx)
	v := verdict{Session: h.Key.ID, Tenant: h.Key.Tenant, Trimmed: c.first - 1, OK: err == nil}
	if v.Records = c.at.Len; v.Records >= c.first {
		v.Records -= c.first - 1
	}
	if c.s != nil {
		v.Turns = len(c.s.Turns)
	}
	if err != nil {
		v.Error = text(err)
	}
	return v
}

func (c *check) run(ctx context.Context) error {
	for c.at.Len < c.head.Len {
		head, records, err := c.store.Read(ctx, c.head.Key, c.at.Len, 1000)
		switch {
		case errors.Is(err, session.ErrTrimmed) && c.snap == nil:
			if err := c.begin(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case head.Life != c.head.Life:
			return nil // erased meanwhile
		case len(records) == 0:
			return fault.New(fault.Corrupt, "", "the head says that there are %d records, and there are %d", c.head.Len, c.at.Len)
		}
		if err := c.follow(records); err != nil {
			return err
		}
	}
	if c.s == nil {
		return fault.New(fault.Corrupt, "", "its snapshot is of record %d, and its journal ends at %d", c.snap.At.Len, c.at.Len)
	}
	return nil
}

// follow checks records one by one.
func (c *check) follow(records []session.Record) (err error) {
	for _, r := range records {
		if c.at, err = session.Verify(c.at, []session.Record{r}); err != nil {
			return err
		}
		if r.Seq == c.head.Len && r.ID != c.head.LastID {
			return fault.New(fault.Corrupt, "", "record %d is not the one that the head names", r.Seq)
		}
		if c.s != nil {
			if err := c.s.Apply(r); err != nil {
				return err
			}
			continue
		}
		if r.Seq == c.snap.At.Len {
			if r.ID != c.snap.At.LastID {
				return fault.New(fault.Corrupt, "", "its snapshot is of another record %d than the one in its journal", r.Seq)
			}
			c.s = c.snap
		}
	}
	return nil
}

// begin finds the oldest record that is kept, and reads the snapshot that stands for those before it. What that record
// says came before it has to be believed.
func (c *check) begin(ctx context.Context) error {
	snap, err := c.store.Snapshot(ctx, c.head.Key)
	if errors.Is(err, session.ErrNoValue) {
		return fault.New(fault.Corrupt, "", "its oldest records were trimmed, and no snapshot stands for them")
	}
	if err == nil {
		c.snap, err = session.Thaw(c.head.Key, snap)
	}
	if err != nil {
		return err
	}
	lo, hi := uint64(1), c.head.Len // lo is trimmed, hi is kept
	for lo+1 < hi {
		mid := lo + (hi-lo)/2
		switch _, _, err := c.store.Read(ctx, c.head.Key, mid-1, 1); {
		case errors.Is(err, session.ErrTrimmed):
			lo = mid
		case err != nil:
			return err
		default:
			hi = mid
		}
	}
	_, records, err := c.store.Read(ctx, c.head.Key, hi-1, 1)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fault.New(fault.Corrupt, "", "the head says that there are %d records, and record %d is not there", c.head.Len, hi)
	}
	b, err := records[0].Decode()
	if err != nil {
		return err
	}
	c.first, c.s = hi, nil
	c.at = session.Position{Life: c.head.Life, Len: hi - 1, LastID: b.Prev}
	if c.snap.At.Len == hi-1 {
		c.s = c.snap
	}
	return nil
}
