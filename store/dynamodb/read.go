package dynamodb

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Read returns the head and the records above after; see session.Journal.
func (s *Store) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	const op = "dynamodb.Read"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return session.Head{}, nil, readErr(given, op, err)
	}
	defer end()
	for n := 1; ; n++ {
		h, err := s.head(ctx, key)
		if err != nil {
			return session.Head{}, nil, readErr(given, op, err)
		}
		if after >= h.Len {
			return h.clone(), nil, nil
		}
		if after+1 < h.first {
			return session.Head{}, nil, &fault.Error{
				Op: op, Kind: fault.Gone, Msg: "the records asked for were trimmed", Err: session.ErrTrimmed,
			}
		}
		records, whole, err := s.chain(ctx, key, h, after, limit)
		if err != nil {
			return session.Head{}, nil, readErr(given, op, err)
		}
		if whole {
			return h.clone(), records, nil
		}
		// A gap. A trim or an erase since the head was read explains it.
		again, err := s.head(ctx, key)
		if err == nil && again.Life == h.Life && again.Len >= h.Len && again.first <= after+1 {
			err = corrupt("records of session %s after %d are missing", key, after)
		}
		if err == nil && n >= conflictsHere {
			err = &failure{kind: fault.Unavailable, msg: "the session changes faster than it can be read"}
		}
		if err != nil {
			return session.Head{}, nil, readErr(given, op, err)
		}
	}
}

// candidate is a record that was put; whether it is part of the journal, the chain says.
type candidate struct {
	session.Record
	prev string
}

// chain reads the records above after that lead to h. It reports false when one is missing.
func (s *Store) chain(ctx context.Context, key session.Key, h head, after uint64, limit int) ([]session.Record, bool, error) {
	enough := h.Len
	if limit > 0 && uint64(limit) < h.Len-after {
		enough = after + uint64(limit)
	}
	r := reader{life: h.Life, enough: enough, at: map[uint64][]candidate{}}
	ask := between{pk: partition(key), from: recordAt(h.Life, after+1), to: recordAt(h.Life, h.Len) + last}
	if enough < h.Len {
		ask.page = int32(min(limit+1, 1000))
	}
	err := s.query(ctx, ask, r.page)
	if err == nil && !r.done {
		err = r.take(true)
	}
	if err != nil {
		return nil, false, err
	}
	// Where the last one read is the only one at its number, it must be the journal's: the head is behind it.
	top, lastID := h.Len, h.LastID
	if r.done {
		top = r.sure
		lastID = r.at[top][0].ID
	}
	var out []session.Record
	for seq := top; seq > after; seq-- {
		i := slices.IndexFunc(r.at[seq], func(c candidate) bool { return c.ID == lastID })
		if i < 0 {
			return nil, false, nil
		}
		c := r.at[seq][i]
		lastID = c.prev
		if seq <= enough {
			out = append(out, c.Record)
		}
	}
	slices.Reverse(out)
	return out, true, nil
}

// reader sorts the items of records by number, and finds when it has read enough.
type reader struct {
	life, enough uint64
	pending      []item // a record of which parts may follow
	at           map[uint64][]candidate
	sure         uint64 // a number at or above enough with one record only, all of whose items were seen
	done         bool
	newest       uint64
}

func (r *reader) page(items []item) (bool, error) {
	r.pending = append(r.pending, items...)
	if err := r.take(false); err != nil {
		return false, err
	}
	return !r.done, nil
}

// take reads the records that are complete. The last one may go on with the next page, unless that was all.
func (r *reader) take(all bool) error {
	for len(r.pending) > 0 && !r.done {
		end := 1
		for name := sortKey(r.pending[0]) + "#"; end < len(r.pending) && strings.HasPrefix(sortKey(r.pending[end]), name); end++ {
		}
		if end == len(r.pending) && !all {
			return nil
		}
		group := r.pending[:end]
		r.pending = r.pending[end:]
		a := holder{item: group[0]}
		seq := a.uint(seqAttr)
		if a.err != nil || !a.has(ridAttr) {
			continue // parts that an interrupted delete left
		}
		if r.newest >= r.enough && seq > r.newest && len(r.at[r.newest]) == 1 {
			r.sure, r.done = r.newest, true
			return nil
		}
		data, _, whole := gather(group)
		if !whole {
			continue // the same
		}
		r.newest = max(r.newest, seq)
		r.at[seq] = append(r.at[seq], candidate{
			Record: session.Record{Life: r.life, Seq: seq, ID: a.str(ridAttr), Data: bytes.Clone(data)},
			prev:   a.str(prevAttr),
		})
	}
	return nil
}
