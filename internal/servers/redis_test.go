//go:build unix

package servers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

func do(t *testing.T, r *servers.RedisServer, command ...string) any {
	t.Helper()
	answer, err := r.Do(t.Context(), command...)
	if err != nil {
		t.Fatalf("%s: %s: %v", r.Addr, strings.Join(command, " "), err)
	}
	return answer
}

func copied(t *testing.T, r *servers.RedisServer, key, value string) {
	t.Helper()
	servers.WaitUntil(t, "the write is copied", func(ctx context.Context) error {
		if got, err := r.Do(ctx, "GET", key); err != nil || got != value {
			return fmt.Errorf("GET %s: %v, %w", key, got, err)
		}
		return nil
	})
}

func TestARedisServerComesBackOnItsPortWithWhatItKept(t *testing.T) {
	t.Parallel()
	keeps, forgets := servers.Redis(t, "--appendonly", "yes", "--appendfsync", "always"), servers.Redis(t)
	for _, r := range []*servers.RedisServer{keeps, forgets} {
		do(t, r, "SET", "k", "v")
		first := r.PID()
		r.Kill()
		if _, err := r.Do(t.Context(), "PING"); err == nil {
			t.Fatal("a killed server answers")
		}
		r.Start()
		if r.PID() == first {
			t.Error("it is the same process")
		}
	}
	if got := do(t, keeps, "GET", "k"); got != "v" {
		t.Errorf("it kept %v", got)
	}
	if got := do(t, forgets, "GET", "k"); got != nil {
		t.Errorf("it did not forget %v", got)
	}
	var refused servers.RedisError
	if _, err := forgets.Do(t.Context(), "NONSENSE"); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}

func TestSentinelsPromoteAReplicaAndTakeTheOldPrimaryBack(t *testing.T) {
	t.Parallel()
	s := servers.Sentinel(t, 2)
	old := s.Primary()
	if old != s.Servers[0] {
		t.Errorf("the primary is %s", old.Addr)
	}
	do(t, old, "SET", "k", "v")
	copied(t, s.Servers[1], "k", "v")
	copied(t, s.Servers[2], "k", "v")
	old.Kill()
	next := s.Promoted(old)
	if next == old {
		t.Fatal("the dead one is the primary")
	}
	do(t, next, "SET", "k", "w")
	old.Start()
	copied(t, old, "k", "w")
}

func TestAClusterPromotesAReplicaAndTakesTheOldMasterBack(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t, 3, 1)
	slot := c.Slot("k")
	old := c.PrimaryOf(slot)
	copies := c.ReplicasOf(old)
	if len(copies) != 1 {
		t.Fatalf("%d replicas", len(copies))
	}
	do(t, old, "SET", "k", "v")
	if n := do(t, old, "DEBUG", "SLEEP", "0"); n != "OK" {
		t.Errorf("%v", n)
	}
	old.Freeze()
	next := c.Promoted(slot, old)
	if !slices.Contains(copies, next) {
		t.Errorf("%s was promoted, which is no replica of %s", next.Addr, old.Addr)
	}
	do(t, next, "SET", "k", "w")
	old.Thaw()
	servers.WaitUntil(t, "the woken one is a replica", func(ctx context.Context) error {
		if role, err := old.Info(ctx, "replication", "role"); err != nil || role != "slave" {
			return fmt.Errorf("%s: %w", role, err)
		}
		return nil
	})
}
