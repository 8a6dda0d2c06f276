package chaos

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// TestLoadingASessionFromRedis prints how long a replica that has just started takes to open an idle session of 50
// records, beside the bare round trip to the same server. It fails only where a session is not what it was.
func TestLoadingASessionFromRedis(t *testing.T) {
	const sessions, turns = 100, 25 // a turn without tools is two records
	server := servers.Redis(t)
	f := newCrew(t)
	warm := f.join(openRedis(t, server.URL, redis.Async))
	last := make([]string, sessions)
	for i := range sessions {
		for n := range turns {
			h, err := warm.Start(t.Context(), agentkernel.Request{Session: fmt.Sprint("session-", i), Prompt: fmt.Sprint("say ", n)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			last[i] = h.ID()
		}
	}
	store := openRedis(t, server.URL, redis.Async)
	cold := f.join(store)
	if head, records, err := store.Read(t.Context(), session.Key{ID: "session-0"}, 0, 0); err != nil || len(records) != 2*turns || head.Owner != "" {
		t.Fatalf("the session has %d records and the owner %q: %v", len(records), head.Owner, err)
	}
	var open, again, read []time.Duration
	took := func(list *[]time.Duration, f func() error) {
		t.Helper()
		began := time.Now()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		*list = append(*list, time.Since(began))
	}
	for _, turn := range last {
		h, err := cold.Turn("", turn)
		if err != nil {
			t.Fatal(err)
		}
		info := func() error {
			i, err := h.Info(t.Context())
			if err == nil && i.State != session.Completed {
				err = fmt.Errorf("the turn is %s", i.State)
			}
			return err
		}
		took(&open, info)
		took(&again, info)
		took(&read, func() error {
			_, err := store.Heads(context.Background(), []session.Key{{ID: h.Session()}})
			return err
		})
	}
	t.Logf("session load: an idle session of %d records opens in a cold replica in p50 %s, p99 %s; once it is in the cache p50 %s, p99 %s; one head of the same store p50 %s, p99 %s",
		2*turns, at(open, 50), at(open, 99), at(again, 50), at(again, 99), at(read, 50), at(read, 99))
}

// at is a percentile.
func at(list []time.Duration, percent int) time.Duration {
	slices.Sort(list)
	return list[(len(list)-1)*percent/100].Round(time.Microsecond)
}
