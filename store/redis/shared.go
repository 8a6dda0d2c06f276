package redis

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/session"
)

// Beat writes a replica's counter and info.
func (s *Store) Beat(ctx context.Context, r session.Replica) error {
	_, err := s.write(ctx, "redis.Beat", verbPut, []string{s.keys.replicas()}, r.ID, number(r.Counter)+":"+string(r.Info))
	return err
}

// Leave removes a replica's entry.
func (s *Store) Leave(ctx context.Context, id string) error {
	_, err := s.write(ctx, "redis.Leave", verbDrop, []string{s.keys.replicas()}, id)
	return err
}

// Replicas lists the entries in the order of their ids.
func (s *Store) Replicas(ctx context.Context) ([]session.Replica, error) {
	const op = "redis.Replicas"
	_, fields, err := s.hash(ctx, op, s.keys.replicas())
	if err != nil {
		return nil, err
	}
	var out []session.Replica
	for i := 0; i+1 < len(fields); i += 2 {
		counter, info, ok := strings.Cut(fields[i+1], ":")
		n := numbers{}
		r := session.Replica{ID: fields[i], Counter: n.unsigned(counter)}
		if info != "" {
			r.Info = json.RawMessage(info)
		}
		if !ok || n.err != nil {
			return nil, odd(op)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b session.Replica) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// PutHint replaces the hint of that name.
func (s *Store) PutHint(ctx context.Context, h session.Hint) error {
	_, err := s.write(ctx, "redis.PutHint", verbPutHint, []string{s.keys.hints()}, h.Name, millis(h.Until), string(h.Value))
	return err
}

// Hints lists the hints whose name has the prefix and whose time has not passed, in the order of their names.
func (s *Store) Hints(ctx context.Context, prefix string) ([]session.Hint, error) {
	const op = "redis.Hints"
	now, fields, err := s.hash(ctx, op, s.keys.hints())
	if err != nil {
		return nil, err
	}
	var out []session.Hint
	for i := 0; i+1 < len(fields); i += 2 {
		until, value, ok := strings.Cut(fields[i+1], ":")
		n := numbers{}
		h := session.Hint{Name: fields[i], Value: []byte(value), Until: n.millis(until)}
		if !ok || n.err != nil {
			return nil, odd(op)
		}
		if strings.HasPrefix(h.Name, prefix) && h.Until > now {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b session.Hint) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// hash reads one of the hashes that belong to no session, and the server's time.
func (s *Store) hash(ctx context.Context, op, key string) (session.Millis, []string, error) {
	_, reply, err := s.read(ctx, op, verbAll, []string{key, s.keys.fence()})
	if err != nil {
		return 0, nil, err
	}
	if len(reply) != 2 {
		return 0, nil, odd(op)
	}
	now, ok := reply[0].(string)
	fields, ok2 := texts(reply[1])
	n := numbers{}
	t := n.millis(now)
	if !ok || !ok2 || n.err != nil {
		return 0, nil, odd(op)
	}
	return t, fields, nil
}

// Meta returns what was fixed when the store was made.
func (s *Store) Meta(ctx context.Context) (session.Meta, error) {
	const op = "redis.Meta"
	if err := s.ready(ctx, op); err != nil {
		return session.Meta{}, err
	}
	m, _, err := s.readMeta(ctx, op, false)
	return m, err
}

// RaiseGeneration tells every replica to stop; see session.Directory.
func (s *Store) RaiseGeneration(ctx context.Context) error {
	_, err := s.write(ctx, "redis.RaiseGeneration", verbRaise, []string{s.keys.meta()})
	return err
}

// readMeta reads and checks what the store was made with, and says whether that was just now. It makes what is missing only
// before the store was seen for the first time: one that lost it later has lost more, and must not look like a new one.
func (s *Store) readMeta(ctx context.Context, op string, make bool) (m session.Meta, made bool, err error) {
	want, do := s.meta(), "0"
	if make {
		do = "1"
	}
	keys := []string{s.keys.meta(), s.keys.fence()}
	c := &call{verb: verbMeta, keys: keys, args: []any{do, strconv.Itoa(want.Format), strconv.Itoa(want.Buckets), want.Prefix}}
	s.do(ctx, s.cfg.OpTimeout, c) // replicas are not waited for: the first append that counts takes it along
	_, reply, err := s.readAnswer(ctx, op, c)
	if err != nil {
		return m, false, err
	}
	f, ok := texts(reply)
	if !ok || len(f) != 5 {
		return m, false, odd(op)
	}
	n := numbers{}
	m = session.Meta{Format: int(n.unsigned(f[0])), Generation: n.unsigned(f[1]), Buckets: int(n.unsigned(f[2])), Prefix: f[3]}
	if n.err != nil {
		return m, false, odd(op)
	}
	if err := m.Check(want); err != nil {
		return m, false, err
	}
	s.checked.Store(true)
	return m, f[4] == "1", nil
}
