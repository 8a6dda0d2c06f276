package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/fault"
)

// call is one command, and what became of it.
type call struct {
	verb *verb  // or, for a plain command that only reads,
	name string // its name, the key following
	keys []string
	args []any // texts and numbers; bytes of the caller are copied to texts before
	wait bool  // it counts only when replicas have it

	reply any
	err   error
	acked int64 // replicas that have it
	sent  bool  // it may have reached a server
}

// States of an attempt. A command is begun or given up, never both.
const (
	idle int32 = iota
	begun
	abandoned
)

// attempt is a call on its way. It stands as the second word of its own command: go-redis asks for its bytes when it writes
// the command to a connection. So it is known whether anything was sent, whatever error comes back, and nothing is sent
// twice or after the caller was told that it was not sent, whatever go-redis does.
type attempt struct {
	*call
	word  string
	state atomic.Int32
	node  *goredis.Client
	ask   bool
	eval  bool // by source: the server does not know the script
}

// MarshalBinary is called by go-redis when the command is written.
func (a *attempt) MarshalBinary() ([]byte, error) {
	switch {
	case a.state.CompareAndSwap(idle, begun):
		return []byte(a.word), nil
	case a.state.Load() == begun:
		return nil, errTwice
	}
	return nil, errAbandoned
}

// outcome is what an attempt came to.
type outcome struct {
	reply any
	err   error
	acked int64
	sent  bool
}

// maxRounds bounds how often a command that was refused with a hint is sent again.
const maxRounds = 6

// do runs calls, those of one server in one go and the servers beside each other, and fills in what became of each. It
// returns when all have an answer, or ctx or the time for one operation has ended.
func (s *Store) do(ctx context.Context, limit time.Duration, calls ...*call) {
	if err := s.begin(); err != nil {
		for _, c := range calls {
			c.err = err
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	all := make([]*attempt, len(calls))
	groups := map[*goredis.Client][]int{}
	done := make(chan map[int]outcome, len(calls)+1)
	for i, c := range calls {
		all[i] = &attempt{call: &call{verb: c.verb, name: c.name, keys: c.keys, args: c.args, wait: c.wait}}
	}
	go func() { // finding the server may ask the Cluster, so it is not waited for longer than the rest
		defer s.running.Done()
		failed := map[int]outcome{}
		for i, a := range all {
			node, err := s.route(ctx, a.keys[0])
			if err != nil {
				failed[i] = outcome{err: err}
				continue
			}
			a.node = node
			groups[node] = append(groups[node], i)
		}
		for _, group := range groups {
			s.running.Add(1)
			go func() {
				defer s.running.Done()
				done <- s.settle(ctx, all, group)
			}()
		}
		done <- failed
	}()
	defer cancel()
	for left := len(calls); left > 0; {
		select {
		case part := <-done:
			for i, o := range part {
				calls[i].reply, calls[i].err, calls[i].acked, calls[i].sent = o.reply, o.err, o.acked, o.sent
				all[i] = nil
				left--
			}
		case <-ctx.Done():
			s.giveUp(ctx, calls, all, done)
			return
		}
	}
}

// giveUp answers for what has no answer yet.
func (s *Store) giveUp(ctx context.Context, calls []*call, all []*attempt, done chan map[int]outcome) {
	for more := true; more; {
		select {
		case part := <-done:
			for i, o := range part {
				calls[i].reply, calls[i].err, calls[i].acked, calls[i].sent = o.reply, o.err, o.acked, o.sent
				all[i] = nil
			}
		default:
			more = false
		}
	}
	for i, a := range all {
		if a != nil {
			calls[i].err = fmt.Errorf("no answer in time: %w", context.Cause(ctx))
			calls[i].sent = !a.state.CompareAndSwap(idle, abandoned)
		}
	}
}

// settle runs the attempts of one server until each has its final answer, and follows redirections.
func (s *Store) settle(ctx context.Context, all []*attempt, group []int) map[int]outcome {
	out := make(map[int]outcome, len(group))
	for round := 0; len(group) > 0; round++ {
		var again []int
		for node, part := range byNode(all, group) {
			s.send(ctx, node, all, part, out)
			for _, i := range part {
				if round+1 < maxRounds && ctx.Err() == nil && s.follow(ctx, all[i], out[i].err, round) {
					again = append(again, i)
				}
			}
		}
		group = again
	}
	return out
}

func byNode(all []*attempt, group []int) map[*goredis.Client][]int {
	out := map[*goredis.Client][]int{}
	for _, i := range group {
		out[all[i].node] = append(out[all[i].node], i)
	}
	return out
}

// send writes commands to one connection and reads their answers.
func (s *Store) send(ctx context.Context, node *goredis.Client, all []*attempt, group []int, out map[int]outcome) {
	pipe := node.Pipeline()
	cmds, waits := make([]*goredis.Cmd, len(group)), make([]*goredis.Cmd, len(group))
	for n, i := range group {
		a := all[i]
		if a.ask {
			pipe.Do(ctx, "asking")
		}
		cmds[n] = pipe.Do(ctx, a.words()...)
		if a.wait {
			waits[n] = pipe.Do(ctx, "wait", s.cfg.Replicas, s.cfg.WaitTimeout.Milliseconds())
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	broken := false
	for n, i := range group {
		o := outcome{sent: all[i].state.Load() == begun}
		o.reply, o.err = cmds[n].Result()
		if errors.Is(o.err, goredis.Nil) {
			o.err = nil
		}
		if waits[n] != nil && o.err == nil {
			o.acked, _ = waits[n].Int64() // on an error nobody is known to have it
		}
		broken = broken || o.err != nil && !answered(o.err)
		out[i] = o
	}
	if broken && s.cluster != nil {
		s.cluster.ReloadState(ctx)
	}
}

// answered reports that err came from the server, so that the server is there.
func answered(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// words are the command.
func (a *attempt) words() []any {
	if a.verb == nil {
		a.word = a.keys[0]
		return append([]any{a.name, a}, a.args...)
	}
	name := "evalsha"
	a.word = a.verb.sha
	if a.eval {
		name, a.word = "eval", a.verb.source
	}
	w := make([]any, 0, 3+len(a.keys)+len(a.args))
	w = append(w, name, a, len(a.keys))
	for _, k := range a.keys {
		w = append(w, k)
	}
	return append(w, a.args...)
}

// follow reports whether the attempt is to be made again, after an answer that says that it was not carried out and what
// to do instead.
func (s *Store) follow(ctx context.Context, a *attempt, err error, round int) bool {
	switch {
	case err == nil:
		return false
	case is(err, "NOSCRIPT"):
		a.eval = true
	case s.cluster != nil && (is(err, "MOVED ") || is(err, "ASK ")):
		node := s.redirected(ctx, a.keys[0], err)
		if node == nil {
			return false
		}
		a.node, a.ask = node, is(err, "ASK ")
	case s.cluster != nil && is(err, "TRYAGAIN"):
		t := time.NewTimer(time.Duration(round+1) * 20 * time.Millisecond) // a slot is on its way to another server
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	default:
		return false
	}
	a.state.CompareAndSwap(begun, idle)
	return true
}

// begin counts a call that runs, unless the store is closed.
func (s *Store) begin() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return &fault.Error{Kind: fault.Unavailable, Err: errClosed}
	}
	s.running.Add(1)
	return nil
}
