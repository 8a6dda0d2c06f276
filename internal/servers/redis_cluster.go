//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// RedisCluster is a Redis Cluster: masters that share the slots evenly, each with replicas.
type RedisCluster struct {
	URL     string         // redis+cluster://host:port,host:port,...
	Servers []*RedisServer // the masters in the order of their slots, then the replicas, master by master

	tb       testing.TB
	masters  int
	replicas int
}

const (
	slots       = 16384
	nodeTimeout = "1500" // milliseconds of silence until a node is taken for dead
)

// Cluster starts masters and their replicas and joins them, and waits until every node serves and every replica follows.
// With fewer than three masters nothing replaces one that died. Arguments are for each redis-server.
func Cluster(tb testing.TB, masters, replicasPerMaster int, args ...string) *RedisCluster {
	tb.Helper()
	c := &RedisCluster{tb: tb, masters: masters, replicas: replicasPerMaster}
	var addresses, buses []string
	for range masters * (1 + replicasPerMaster) {
		bus := strconv.Itoa(Port(tb)) // the port 10000 above the other one may be in use by an outgoing connection
		r := Redis(tb, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", nodeTimeout,
			"--cluster-allow-replica-migration", "no", "--repl-ping-replica-period", "1",
		}, args...)...)
		c.Servers = append(c.Servers, r)
		addresses, buses = append(addresses, r.Addr), append(buses, bus)
	}
	c.URL = "redis+cluster://" + strings.Join(addresses, ",")
	c.join(buses)
	return c
}

// join makes one cluster of the nodes: slots and epochs first, then the meeting, then the replicas, each of which needs to
// have heard of its master.
func (c *RedisCluster) join(buses []string) {
	c.tb.Helper()
	for i := range c.masters {
		c.must(c.Servers[i], "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/c.masters), strconv.Itoa((i+1)*slots/c.masters-1))
	}
	for i, r := range c.Servers {
		c.must(r, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i > 0 {
			c.must(c.Servers[0], "CLUSTER", "MEET", "127.0.0.1", r.port(), buses[i])
		}
	}
	WaitUntil(c.tb, "the nodes know each other", func(ctx context.Context) error {
		for _, r := range c.Servers {
			if n, err := r.field(ctx, "cluster_known_nodes", "CLUSTER", "INFO"); err != nil || n != strconv.Itoa(len(c.Servers)) {
				return fmt.Errorf("%s knows %s nodes: %w", r.Addr, n, err)
			}
		}
		return nil
	})
	for i, r := range c.Servers[c.masters:] {
		id, _ := c.must(c.Servers[i/c.replicas], "CLUSTER", "MYID").(string)
		WaitUntil(c.tb, "a replica has its master", func(ctx context.Context) error {
			_, err := r.Do(ctx, "CLUSTER", "REPLICATE", id)
			return err
		})
	}
	WaitUntil(c.tb, "the cluster serves", c.whole)
}

// whole is nil when every node says that the cluster is well and knows who copies whom, and every replica follows.
func (c *RedisCluster) whole(ctx context.Context) error {
	for i, r := range c.Servers {
		state, err := r.field(ctx, "cluster_state", "CLUSTER", "INFO")
		if err != nil || state != "ok" {
			return fmt.Errorf("%s: cluster_state %s: %w", r.Addr, state, err)
		}
		nodes, err := r.nodes(ctx)
		if err != nil {
			return err
		}
		copies := 0
		for _, n := range nodes {
			if n.master != "-" {
				copies++
			}
		}
		if copies != len(c.Servers)-c.masters {
			return fmt.Errorf("%s knows %d replicas", r.Addr, copies)
		}
		if i >= c.masters {
			if err := r.linked(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *RedisCluster) must(r *RedisServer, command ...string) any {
	c.tb.Helper()
	answer, err := r.Do(context.Background(), command...)
	if err != nil {
		c.tb.Fatalf("%s %s: %v", r.Addr, strings.Join(command, " "), err)
	}
	return answer
}

// Slot is the slot of a key.
func (c *RedisCluster) Slot(key string) int {
	c.tb.Helper()
	for _, r := range c.Servers {
		if n, err := r.Do(context.Background(), "CLUSTER", "KEYSLOT", key); err == nil {
			return int(n.(int64))
		}
	}
	c.tb.Fatal("no node of the cluster answers")
	return 0
}

// PrimaryOf is the master of a slot: of what the nodes that answer say, the newest.
func (c *RedisCluster) PrimaryOf(slot int) *RedisServer {
	c.tb.Helper()
	var primary *RedisServer
	WaitUntil(c.tb, fmt.Sprintf("slot %d has a master", slot), func(ctx context.Context) (err error) {
		primary, err = c.primaryOf(ctx, slot)
		return err
	})
	return primary
}

func (c *RedisCluster) primaryOf(ctx context.Context, slot int) (*RedisServer, error) {
	var newest clusterNode
	for _, r := range c.Servers {
		nodes, err := r.nodes(ctx)
		if err != nil {
			continue // dead or frozen
		}
		for _, n := range nodes {
			if n.holds(slot) && (newest.addr == "" || n.epoch > newest.epoch) {
				newest = n
			}
		}
	}
	for _, r := range c.Servers {
		if r.Addr == newest.addr {
			return r, nil
		}
	}
	return nil, errors.New("no node says who")
}

// ReplicasOf are the servers that copy a primary now, by what the nodes that answer say.
func (c *RedisCluster) ReplicasOf(primary *RedisServer) []*RedisServer {
	c.tb.Helper()
	var copies []*RedisServer
	WaitUntil(c.tb, "a node answers", func(ctx context.Context) error {
		for _, r := range c.Servers {
			nodes, err := r.nodes(ctx)
			if err != nil {
				continue
			}
			id := ""
			masters := map[string]string{}
			for _, n := range nodes {
				masters[n.addr] = n.master
				if n.addr == primary.Addr {
					id = n.id
				}
			}
			for _, s := range c.Servers {
				if masters[s.Addr] == id {
					copies = append(copies, s)
				}
			}
			return nil
		}
		return errors.New("none")
	})
	return copies
}

// Promoted waits until the slot has a master other than old, that one serves as such, and every other node that answers
// says that the cluster is well.
func (c *RedisCluster) Promoted(slot int, old *RedisServer) *RedisServer {
	c.tb.Helper()
	var next *RedisServer
	WaitUntil(c.tb, "a replica is promoted", func(ctx context.Context) (err error) {
		if next, err = c.primaryOf(ctx, slot); err != nil {
			return err
		}
		if next == old {
			return fmt.Errorf("%s is the master still", old.Addr)
		}
		for _, r := range c.Servers {
			if state, err := r.field(ctx, "cluster_state", "CLUSTER", "INFO"); r != old && err == nil && state != "ok" {
				return fmt.Errorf("%s: cluster_state %s", r.Addr, state)
			}
		}
		return next.serves(ctx)
	})
	return next
}

// clusterNode is a line of CLUSTER NODES.
type clusterNode struct {
	id, addr, master string
	epoch            int
	slots            []string
}

func (r *RedisServer) nodes(ctx context.Context) ([]clusterNode, error) {
	answer, err := r.Do(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	text, _ := answer.(string)
	var nodes []clusterNode
	for line := range strings.Lines(text) {
		// id host:port@bus flags master ping pong epoch link slot...
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("a line of CLUSTER NODES: %q", line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		epoch, _ := strconv.Atoi(f[6])
		nodes = append(nodes, clusterNode{f[0], addr, f[3], epoch, f[8:]})
	}
	return nodes, nil
}

func (n clusterNode) holds(slot int) bool {
	for _, s := range n.slots {
		first, last, isRange := strings.Cut(s, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err == nil && err2 == nil && a <= slot && slot <= b {
			return true
		}
	}
	return false
}
