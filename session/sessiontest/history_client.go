package sessiontest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"github.com/anishathalye/porcupine"

	"github.com/agentkernel/agentkernel/session"
)

// client makes the calls of one history's client, one after the other.
type client struct {
	r   *recorder
	n   int
	s   session.Store
	rng *rand.Rand

	seen   map[session.Key]journal          // the head where it last saw each session
	before map[session.Key]session.Position // an older place of the session
	wrong  map[session.Key]session.Position // a place that the session never had
	behind *session.Key                     // a session that has moved on, to be read next
	doubt  *step                            // an append of unknown outcome, to be sent again or looked for
	made   int                              // records
	acts   int                              // for who bounds them
	last   error                            // of the last read
}

func (r *recorder) client(n int, s session.Store) *client {
	return &client{
		r: r, n: n, s: s, rng: newRand(r.cfg.Seed, n),
		seen: map[session.Key]journal{}, before: map[session.Key]session.Position{}, wrong: map[session.Key]session.Position{},
	}
}

// act makes the next call.
func (c *client) act(ctx context.Context) {
	if in := c.doubt; in != nil {
		c.doubt = nil
		if c.rng.IntN(2) == 0 {
			c.send(ctx, *in)
		} else {
			c.read(ctx, in.key, 0, 0)
		}
		return
	}
	if key := c.behind; key != nil {
		c.behind = nil
		c.read(ctx, *key, c.seen[*key].at.Len*uint64(c.rng.IntN(2)), 0)
		return
	}
	key := c.r.pick(c.rng)
	switch n := c.rng.IntN(20); {
	case n < 3:
		c.read(ctx, key, uint64(c.rng.IntN(3)), c.rng.IntN(4))
	case n < 6:
		c.look(ctx)
	case n == 6 && c.r.cfg.erases:
		c.send(ctx, step{verb: erases, key: key, at: c.seen[key].at})
	default:
		c.write(ctx, key)
	}
}

// write appends to a session where this client last saw it, or, now and then, where it cannot fit.
func (c *client) write(ctx context.Context, key session.Key) bool {
	was := c.seen[key]
	in := step{verb: appends, key: key, at: was.at, next: was.next}
	if old, ok := c.before[key]; ok && c.rng.IntN(16) == 0 {
		in.at = old
	} else if wrong, ok := c.wrong[key]; ok && c.rng.IntN(8) == 0 {
		in.at = wrong // as long as the journal may be, with another last record
		delete(c.wrong, key)
	}
	if c.rng.IntN(4) == 0 {
		in.next.Owner, in.next.Epoch = fmt.Sprintf("client-%d", c.n), was.next.Epoch+1
	}
	c.made++
	in.rec = record(in.at, fmt.Sprintf("%d/%d", c.n, c.made))
	in.next.Due = session.Millis(in.rec.Seq)
	return c.send(ctx, in)
}

// send makes a write, and reports whether it was acknowledged.
func (c *client) send(ctx context.Context, in step) bool {
	ctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeout)
	defer cancel()
	op := porcupine.Operation{ClientId: c.n, Call: c.r.now()}
	var err error
	if in.verb == erases {
		err = c.s.Erase(ctx, in.key, in.at, session.Tombstone{Until: farFuture})
	} else {
		err = c.s.Append(ctx, in.key, in.at, in.rec, in.next)
	}
	out := outcome{}
	op.Return = c.r.now()
	was := c.seen[in.key]
	switch {
	case err == nil:
		if was.at == in.at {
			c.before[in.key] = in.at
		}
		c.seen[in.key] = journal{}.behind(in)
	case isConflict(err):
		out.answer = refused
		c.behind, c.wrong[in.key] = &in.key, in.rec.Position()
	case isNotSent(err):
		c.r.ended(op.Call, func(r *HistoryReport) { r.NotSent++ })
		return false
	default:
		out.answer, op.Return = unknown, forever
		if in.verb == appends {
			c.doubt = &in
		}
	}
	op.Input, op.Output = in, out
	c.r.ended(op.Call, func(r *HistoryReport) {
		switch out.answer {
		case won:
			r.Won++
			if in.next.Epoch > was.next.Epoch {
				r.Claims++
			}
		case refused:
			r.Conflicts++
		case unknown:
			r.Unknown++
		}
	}, op)
	return err == nil
}

// read reads a session, and reports whether that worked.
func (c *client) read(ctx context.Context, key session.Key, after uint64, limit int) bool {
	return c.take(ctx, reads, key, after, limit)
}

func (c *client) take(ctx context.Context, v verb, key session.Key, after uint64, limit int) bool {
	ctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeout)
	defer cancel()
	op := porcupine.Operation{ClientId: c.n, Call: c.r.now()}
	head, records, err := c.s.Read(ctx, key, after, limit)
	op.Return = c.r.now()
	c.last = err
	if err != nil {
		c.r.ended(op.Call, func(r *HistoryReport) { r.Failed++ })
		return false
	}
	for i, rec := range records {
		if sum := sha256.Sum256(rec.Data); rec.ID != hex.EncodeToString(sum[:16]) || rec.Seq != after+uint64(i)+1 || rec.Life != head.Life {
			c.r.problem("session %s: record %d after %d was read as %s, which was never written", key, i+1, after, list(records[i:i+1]))
		}
	}
	op.Input = step{verb: v, key: key, after: after, limit: limit}
	op.Output = outcome{seen: journal{at: head.Position, next: head.Attention, ids: idsOf(records)}}
	c.saw(key, head)
	c.r.ended(op.Call, func(r *HistoryReport) { r.Reads++ }, op)
	return true
}

// look reads the heads of all sessions that are worked on. What came with an error is as true as without.
func (c *client) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeout)
	defer cancel()
	keys := c.r.picked()
	call := c.r.now()
	heads, err := c.s.Heads(ctx, keys)
	end := c.r.now()
	if err == nil && len(heads) != len(keys) {
		c.r.problem("Heads of %d keys returned %d heads", len(keys), len(heads))
	}
	var ops []porcupine.Operation
	for i, h := range heads {
		if i >= len(keys) || h.Key != keys[i] {
			if err == nil {
				c.r.problem("Heads returned %s at place %d", show(h), i)
			}
			continue
		}
		c.saw(h.Key, h)
		ops = append(ops, porcupine.Operation{
			ClientId: c.n, Call: call, Return: end,
			Input: step{verb: looks, key: h.Key}, Output: outcome{seen: journal{at: h.Position, next: h.Attention}},
		})
	}
	c.r.ended(call, func(r *HistoryReport) {
		if err == nil {
			r.Reads++
		} else {
			r.Failed++
		}
	}, ops...)
}

// saw remembers where a session is.
func (c *client) saw(key session.Key, head session.Head) {
	if was := c.seen[key].at; was != head.Position {
		c.before[key] = was
	}
	c.seen[key] = journal{at: head.Position, next: head.Attention}
}
