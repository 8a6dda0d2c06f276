package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// chunk is the most that one command carries of a snapshot or a blob: a server does one thing at a time.
const chunk = 512 << 10

// tries bounds how often a thing of several parts is begun again when another one came between its parts.
const tries = 5

// nonce tells the parts of one upload from those of another.
func nonce() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

// parts cuts data; there is at least one, which may be empty. They are copies.
func parts(data []byte) []string {
	out := []string{}
	for len(data) > chunk {
		out, data = append(out, string(data[:chunk])), data[chunk:]
	}
	return append(out, string(data))
}

// PutSnapshot keeps the newest snapshot; see session.Snapshots. One that covers records which the store does not have
// is refused like one of another life.
func (s *Store) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	const op = "redis.PutSnapshot"
	p, all := s.keys.place(key), parts(snap.Data)
	keys, life, seq := []string{p.head, p.snapshot}, number(snap.Life), number(snap.Seq)
	for range tries {
		n, count := nonce(), strconv.Itoa(len(all))
		if len(all) == 1 {
			_, err := s.write(ctx, op, verbPutSnapshot, keys, life, seq, n, count, all[0])
			return err
		}
		for i, part := range all {
			if _, err := s.write(ctx, op, verbStageSnapshot, keys, life, seq, n, strconv.Itoa(i), part); err != nil {
				return err
			}
		}
		word, err := s.write(ctx, op, verbPutSnapshot, keys, life, seq, n, count)
		if err != nil || word != "missing" {
			return err
		}
	}
	return notSent(op, fault.New(fault.Unavailable, op, "another snapshot of the session came between the parts of this one, %d times", tries))
}

// Snapshot returns the newest snapshot; see session.Snapshots.
func (s *Store) Snapshot(ctx context.Context, key session.Key) (session.Snapshot, error) {
	const op = "redis.Snapshot"
	p := s.keys.place(key)
	for range tries {
		var snap session.Snapshot
		var mine string
		for i, count := 0, 1; i < count; i++ {
			word, reply, err := s.read(ctx, op, verbSnapshot, []string{p.head, p.snapshot, p.fence}, strconv.Itoa(i))
			if err != nil {
				return snap, err
			}
			if word == "none" {
				return session.Snapshot{}, noValue(op)
			}
			f, ok := texts(reply)
			n := numbers{}
			if !ok || len(f) != 5 {
				return session.Snapshot{}, odd(op)
			}
			life, seq, total := n.unsigned(f[0]), n.unsigned(f[1]), n.unsigned(f[3])
			if n.err != nil {
				return session.Snapshot{}, odd(op)
			}
			if i == 0 {
				snap, mine, count = session.Snapshot{Life: life, Seq: seq}, f[2], int(total)
			}
			if mine != f[2] || snap.Life != life {
				mine = ""
				break // a newer one came
			}
			if reply[4] == nil {
				return session.Snapshot{}, fault.New(fault.Corrupt, op, "part %d of the snapshot is missing", i)
			}
			snap.Data = append(snap.Data, f[4]...)
		}
		if mine != "" {
			return snap, nil
		}
	}
	return session.Snapshot{}, fault.New(fault.Unavailable, op, "newer snapshots came while one was read, %d times", tries)
}

// trimStep is how many records one command deletes.
const trimStep = 500

// Trim deletes records that the newest snapshot covers; see session.Snapshots.
func (s *Store) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	const op = "redis.Trim"
	p := s.keys.place(key)
	upTo = min(upTo, 1<<53) // Lua counts so far, and no journal gets there
	for {
		word, err := s.write(ctx, op, verbTrim, []string{p.head, p.records}, number(life), number(upTo), strconv.Itoa(trimStep))
		if err != nil || word != "more" {
			return err
		}
	}
}
