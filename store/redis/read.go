package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Of one page: no command keeps the server longer than it takes to copy so much.
const (
	pageBytes   = 1 << 20
	pageRecords = 1000
)

// errMoved says that what was read is not of one moment.
var errMoved = errors.New("the session changed while it was read")

// Read returns the head and the records above after; see session.Journal.
func (s *Store) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	const op = "redis.Read"
	if err := s.ready(ctx, op); err != nil {
		return session.Head{}, nil, err
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	after = min(after, math.MaxInt64)
	for {
		head, records, err := s.readAll(ctx, op, key, after, limit)
		if errors.Is(err, errMoved) && ctx.Err() == nil {
			continue
		}
		if err == nil && head.Life == 0 {
			err = s.strangers(ctx, op, key)[0]
		}
		if err != nil {
			return session.Head{}, nil, err
		}
		return head, records, nil
	}
}

// readAll reads page after page up to the head that the first page was read with. Records never change, so pages of the same
// life that join are of that moment, unless a trim came between or the store went back.
func (s *Store) readAll(ctx context.Context, op string, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	head, records, first, err := s.page(ctx, op, key, after, limit, s.replicated())
	if err != nil || after >= head.Len {
		return head, nil, err
	}
	if len(records) == 0 || records[0].Seq != after+1 {
		if first > after+1 {
			return head, nil, &fault.Error{
				Op: op, Kind: fault.Gone,
				Err: fmt.Errorf("%w: record %d was asked for, the oldest kept is %d", session.ErrTrimmed, after+1, first),
			}
		}
		return head, nil, fault.New(fault.Corrupt, op, "record %d is missing between others", after+1)
	}
	want := int(min(head.Len-after, uint64(limit)))
	for len(records) < want {
		last := records[len(records)-1].Seq
		now, more, _, err := s.page(ctx, op, key, last, want-len(records), false)
		if err != nil {
			return head, nil, err
		}
		if now.Life != head.Life || len(more) == 0 || more[0].Seq != last+1 {
			return head, nil, errMoved
		}
		records = append(records, more...)
	}
	for i, r := range records {
		if r.Seq != after+1+uint64(i) {
			return head, nil, fault.New(fault.Corrupt, op, "record %d is missing between others", after+1+uint64(i))
		}
	}
	if last := records[len(records)-1]; last.Seq == head.Len && last.ID != head.LastID {
		return head, nil, errMoved
	}
	return head, records, nil
}

// page reads a head and some records, and tells the oldest one that is kept. At level replicated the first page is answered
// only when replicas have what it shows: a record whose own writer was not told so yet must not be shown to anyone.
func (s *Store) page(ctx context.Context, op string, key session.Key, after uint64, limit int, wait bool) (head session.Head, records []session.Record, first uint64, err error) {
	p, barrier := s.keys.place(key), "0"
	if wait {
		barrier = "1"
	}
	c := &call{
		verb: verbRead, keys: []string{p.head, p.tomb, p.fence, p.records}, wait: wait,
		args: []any{number(after + 1), strconv.Itoa(min(limit, pageRecords)), strconv.Itoa(pageBytes), barrier},
	}
	s.do(ctx, s.cfg.OpTimeout, c)
	word, reply, err := s.readAnswer(ctx, op, c)
	if err != nil {
		return head, nil, 0, err
	}
	if head, err = headOf(op, key, word, reply); err != nil || word != "head" {
		return head, nil, 0, err
	}
	if len(reply) != 3 {
		return head, nil, 0, odd(op)
	}
	all, ok := reply[1].([]any)
	oldest, ok2 := reply[2].(string)
	if !ok || !ok2 {
		return head, nil, 0, odd(op)
	}
	for _, e := range all {
		f, ok := texts(e)
		if !ok || len(f) != 3 {
			return head, nil, 0, odd(op)
		}
		records = append(records, session.Record{Life: head.Life, Seq: seqOf(f[0]), ID: f[1], Data: []byte(f[2])})
	}
	return head, records, seqOf(oldest), nil
}

// seqOf is the number in a stream's id, 0 when there is none.
func seqOf(id string) uint64 {
	seq, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(seq, 10, 64)
	return n
}
