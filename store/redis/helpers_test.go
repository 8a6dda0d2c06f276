package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

var one = session.Key{ID: "one"}

func open(t testing.TB, url string, cfg redis.Config) *redis.Store {
	t.Helper()
	s, err := redis.Open(context.Background(), url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// after makes a record that follows at.
func after(at session.Position, what string) session.Record {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	data := fmt.Appendf(nil, "%d.%d %s %s", life, at.Len+1, at.LastID, what)
	sum := sha256.Sum256(data)
	return session.Record{Life: life, Seq: at.Len + 1, ID: hex.EncodeToString(sum[:16]), Data: data}
}

// grow appends n records and returns where the session stands then.
func grow(t testing.TB, s session.Store, key session.Key, at session.Position, n int, next session.Attention) session.Position {
	t.Helper()
	for range n {
		rec := after(at, "x")
		must(t, s.Append(context.Background(), key, at, rec, next))
		at = rec.Position()
	}
	return at
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func headOf(t testing.TB, s session.Store, key session.Key) session.Head {
	t.Helper()
	heads, err := s.Heads(context.Background(), []session.Key{key})
	must(t, err)
	return heads[0]
}
