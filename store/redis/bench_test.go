package redis_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/redis"
)

// BenchmarkAppend appends records of a few bytes, each writer to a session of its own.
func BenchmarkAppend(b *testing.B) {
	primary := servers.Redis(b)
	servers.Replica(b, primary)
	for _, level := range []redis.Level{redis.Async, redis.Replicated} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", level, writers), func(b *testing.B) {
				s := open(b, primary.URL, redis.Config{Prefix: fmt.Sprintf("%s%d:", level, writers), Durability: level})
				var all sync.WaitGroup
				for w := range writers {
					key := session.Key{ID: fmt.Sprint(w)}
					at := headOf(b, s, key).Position
					all.Go(func() {
						for n := w; n < b.N; n += writers {
							rec := after(at, "bench")
							if err := s.Append(context.Background(), key, at, rec, session.Attention{Due: 5}); err != nil {
								b.Error(err)
								return
							}
							at = rec.Position()
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			})
		}
	}
}

// BenchmarkDue asks all buckets, of which most are empty, as a sweeper does.
func BenchmarkDue(b *testing.B) {
	s := open(b, servers.Redis(b).URL, redis.Config{})
	for n := range 20 {
		grow(b, s, session.Key{ID: fmt.Sprint(n)}, session.Position{}, 1, session.Attention{Due: 5})
	}
	for b.Loop() {
		if heads, err := s.Due(context.Background(), "", 9, 100); err != nil || len(heads) != 20 {
			b.Fatal(len(heads), err)
		}
	}
}
