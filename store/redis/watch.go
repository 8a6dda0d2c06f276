package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/fault"
)

// settleTime is the least time between two signals: a busy store would wake its watchers all the time.
const settleTime = 10 * time.Millisecond

// Watch signals after appends and erases, by whomever; see session.Watcher. It connects again by itself, and signals then,
// since something may have been missed.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	const op = "redis.Watch"
	if err := s.ready(ctx, op); err != nil && (ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable) {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, classify(op, err)
	}
	sub := s.subscriber.Subscribe(ctx, s.keys.channel())
	first, cancel := context.WithTimeout(ctx, s.cfg.OpTimeout)
	defer cancel()
	_, err := sub.Receive(first) // so that what follows is seen; if it fails, it is tried again below
	if ctx.Err() != nil {
		_ = sub.Close()
		s.running.Done()
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(ctx.Err()), Err: ctx.Err()}
	}
	ch := make(chan struct{}, 1)
	if err != nil {
		ch <- struct{}{}
	}
	go func() {
		defer s.running.Done()
		defer sub.Close()
		s.signal(ctx, sub.ChannelWithSubscriptions(), ch)
	}()
	return ch, nil
}

// signal passes on that there were messages, until ctx or the store ends.
func (s *Store) signal(ctx context.Context, messages <-chan any, ch chan<- struct{}) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				return
			}
			if _, pong := m.(*goredis.Pong); pong {
				continue
			}
		case <-ctx.Done():
			return
		case <-s.ending.Done():
			return
		}
		select {
		case ch <- struct{}{}:
		default: // one signal is waiting already
		}
		pause.Reset(settleTime)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		case <-s.ending.Done():
			return
		}
	}
}
