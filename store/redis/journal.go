package redis

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// grace is how much later than its expiry a session's keys go away by themselves: the kernel's own erase, which leaves a
// tombstone, comes first.
const grace = 24 * time.Hour

// Append adds rec after at; see session.Journal.
func (s *Store) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	const op = "redis.Append"
	if !follows(rec, at) {
		return notSent(op, fault.New(fault.Internal, op, "record %d.%d does not follow position %d.%d", rec.Life, rec.Seq, at.Life, at.Len))
	}
	if at == (session.Position{}) {
		if err := s.ready(ctx, op); err != nil {
			return notSent(op, err)
		}
		if err := s.strangers(ctx, op, key)[0]; err != nil {
			return notSent(op, err)
		}
	}
	p, end := s.keys.place(key), "0"
	if next.Expiry > 0 && next.Expiry < 1<<52 {
		end = millis(next.Expiry + session.Millis(grace.Milliseconds()))
	}
	_, err := s.write(ctx, op, verbAppend, p.guarded(),
		number(at.Life), number(at.Len), at.LastID,
		number(rec.Life), number(rec.Seq), rec.ID, string(rec.Data),
		next.Owner, number(next.Epoch), millis(next.Due), millis(next.Expiry),
		p.ownedMember(next), p.member, p.name, end, s.keys.channel())
	return err
}

// Erase deletes the session and leaves a tombstone; see session.Journal.
func (s *Store) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	const op = "redis.Erase"
	keys, err := json.Marshal(tomb.Keys)
	if err != nil {
		return notSent(op, err)
	}
	p := s.keys.place(key)
	_, err = s.write(ctx, op, verbErase, p.guarded(),
		number(at.Life), number(at.Len), at.LastID, p.member, p.name, millis(tomb.Until), string(keys), s.keys.channel())
	return err
}

// Heads returns the head of each key; see session.Journal.
func (s *Store) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	const op = "redis.Heads"
	if err := s.ready(ctx, op); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	heads, errs := s.headsOf(ctx, op, keys, "", s.share(2))
	var unused []session.Key
	var where []int
	for i, h := range heads {
		if errs[i] == nil && h.Life == 0 {
			unused, where = append(unused, keys[i]), append(where, i)
		}
	}
	for n, err := range s.strangers(ctx, op, unused...) {
		if err != nil {
			heads[where[n]], errs[where[n]] = session.Head{}, err
		}
	}
	return heads, s.partial(op, "heads", errs)
}

// headsOf reads heads in one go. Entries of the indexes without a head are cleaned up when tidy says which: "*" for those of
// sessions without an owner, else the owner's.
func (s *Store) headsOf(ctx context.Context, op string, keys []session.Key, tidy string, limit time.Duration, owned ...string) ([]session.Head, []error) {
	calls := make([]*call, len(keys))
	for i, key := range keys {
		p := s.keys.place(key)
		args := []any{"", "", ""}
		if tidy != "" {
			args = []any{p.member, p.name, ""}
			if len(owned) > 0 {
				args[2] = owned[i]
			}
		}
		calls[i] = &call{verb: verbHead, keys: []string{p.head, p.tomb, p.fence, p.due, p.owned, p.names}, args: args}
	}
	s.do(ctx, limit, calls...)
	heads, errs := make([]session.Head, len(keys)), make([]error, len(keys))
	for i, c := range calls {
		word, reply, err := s.readAnswer(ctx, op, c)
		if err == nil {
			heads[i], err = headOf(op, keys[i], word, reply)
		}
		if err != nil {
			heads[i], errs[i] = session.Head{}, err
		}
	}
	return heads, errs
}

// partial is the error of a call of which some parts failed: the first one's, and how many.
func (s *Store) partial(op, what string, errs []error) error {
	var first error
	failed := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		failed++
		if first == nil {
			first = err
		}
	}
	if first == nil || failed == len(errs) {
		return first
	}
	out := classify(op, first)
	out.Msg = strconv.Itoa(failed) + " of " + strconv.Itoa(len(errs)) + " " + what + " could not be read: " + out.Error()
	out.Err = first
	return out
}

// strangers looks whether the kernel's predecessor has a session of such an id, which then is not ours to use: an error for
// each key.
func (s *Store) strangers(ctx context.Context, op string, keys ...session.Key) []error {
	errs := make([]error, len(keys))
	var calls []*call
	var where []int
	for i, key := range keys {
		if key.Tenant == "" && key.ID != "" {
			calls = append(calls, &call{name: "exists", keys: []string{s.keys.incumbent(key)}})
			where = append(where, i)
		}
	}
	if len(calls) == 0 {
		return errs
	}
	s.do(ctx, s.share(2), calls...)
	for n, c := range calls {
		i := where[n]
		switch there, ok := c.reply.(int64); {
		case c.err != nil:
			errs[i] = s.told(ctx, op, c.err)
		case !ok:
			errs[i] = odd(op)
		case there > 0:
			errs[i] = foreign(op, keys[i])
		}
	}
	return errs
}

// headOf reads what head.lua and read.lua answer.
func headOf(op string, key session.Key, word string, reply []any) (session.Head, error) {
	h := session.Head{Key: key}
	if word == "none" {
		return h, nil
	}
	if len(reply) == 0 {
		return h, odd(op)
	}
	f, ok := texts(reply[0])
	n := numbers{}
	switch {
	case ok && word == "tomb" && len(f) == 3:
		h.Life = n.unsigned(f[0])
		h.Tomb = &session.Tombstone{Until: n.millis(f[1])}
		if err := json.Unmarshal([]byte(f[2]), &h.Tomb.Keys); err != nil {
			n.err = err
		}
	case ok && word == "head" && len(f) == 8:
		h.Position = session.Position{Life: n.unsigned(f[0]), Len: n.unsigned(f[1]), LastID: f[2]}
		h.Attention = session.Attention{Owner: f[3], Epoch: n.unsigned(f[4]), Due: n.millis(f[5]), Expiry: n.millis(f[6])}
		h.Updated = n.millis(f[7])
	default:
		n.err = errors.New("not a head")
	}
	if n.err != nil {
		return session.Head{Key: key}, odd(op)
	}
	return h, nil
}

// numbers reads numbers and keeps the first error.
type numbers struct{ err error }

func (n *numbers) unsigned(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	n.err = errors.Join(n.err, err)
	return v
}

func (n *numbers) millis(s string) session.Millis {
	v, err := strconv.ParseInt(s, 10, 64)
	n.err = errors.Join(n.err, err)
	return session.Millis(v)
}

// Numbers travel as texts and are compared as such: Lua's own have 53 bits.

func number(n uint64) string { return strconv.FormatUint(n, 10) }

func millis(t session.Millis) string { return strconv.FormatInt(int64(t), 10) }

// follows reports that rec is the record after at: the next number of the same life, or the first of the next life.
func follows(rec session.Record, at session.Position) bool {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	return rec.ID != "" && rec.Life == life && rec.Seq == at.Len+1
}
