package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

// counter counts the statements that are sent, and the round trips that prepare them.
type counter struct{ statements, prepared atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if d.SQL != "-- ping" { // of a connection that was not used for a second
		c.statements.Add(1)
	}
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return ctx
}

func (c *counter) TracePrepareEnd(_ context.Context, _ *pgx.Conn, d pgx.TracePrepareEndData) {
	if !d.AlreadyPrepared {
		c.prepared.Add(1)
	}
}

func TestAnAppendIsOneStatementAndOneCommit(t *testing.T) {
	p := quick(t)
	var c counter
	s := open(t, p.URL(), Config{MaxConns: 1, tracer: &c})
	s.news.stop()
	ctx := t.Context()
	at := record(session.Position{}, "0").Position()
	if err := s.Append(ctx, session.Key{ID: "warm"}, session.Position{}, record(session.Position{}, "0"), session.Attention{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, session.Key{ID: "warm"}, at, record(at, "0"), session.Attention{}); err != nil {
		t.Fatal(err)
	}
	const sessions, records = 10, 20
	c.statements.Store(0)
	c.prepared.Store(0)
	for i := range sessions {
		var at session.Position
		for range records {
			rec := record(at, "x")
			if err := s.Append(ctx, session.Key{ID: fmt.Sprint(i)}, at, rec, session.Attention{Owner: "r", Due: 1}); err != nil {
				t.Fatal(err)
			}
			at = rec.Position()
		}
	}
	per := float64(c.statements.Load()) / (sessions * records)
	if per != float64(s.Durability().AppendWrites) || c.prepared.Load() != 0 {
		t.Errorf("an append takes %g statements and %d were prepared; %d is declared", per, c.prepared.Load(), s.Durability().AppendWrites)
	}
	c.statements.Store(0)
	if _, records, err := s.Read(ctx, session.Key{ID: "1"}, 0, 0); err != nil || len(records) != 20 || c.statements.Load() != 1 {
		t.Errorf("a read of %d records takes %d statements, %v", len(records), c.statements.Load(), err)
	}
}

func TestHeadsAreChangedInPlace(t *testing.T) {
	p := quick(t)
	s := open(t, p.URL(), Config{})
	const sessions, records = 50, 40
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			var at session.Position
			for range records {
				rec := record(at, "x")
				if err := s.Append(t.Context(), session.Key{ID: fmt.Sprint(i)}, at, rec, session.Attention{Owner: "r", Epoch: 1, Due: 5}); err != nil {
					t.Error(err)
					return
				}
				at = rec.Position()
			}
		})
	}
	wg.Wait()
	conn, err := pgx.Connect(t.Context(), p.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var updates, hot, size int64
	until(t, "the server has counted", func() bool { // each connection reports what it did now and then
		const q = "SELECT n_tup_upd, n_tup_hot_upd, pg_relation_size(relid) FROM pg_stat_user_tables WHERE relname = 'sessions'"
		if err := conn.QueryRow(t.Context(), q).Scan(&updates, &hot, &size); err != nil {
			t.Fatal(err)
		}
		if updates < sessions*(records-1) {
			s.pool.Reset() // a connection that ends reports
		}
		return updates >= sessions*(records-1)
	})
	t.Logf("%d updates of heads, %d of them in place; %d sessions take %d bytes", updates, hot, sessions, size)
	if hot*10 < updates*8 {
		t.Errorf("only %d of %d changes of a head that stays with its owner needed no index", hot, updates)
	}
}

// BenchmarkAppend prints appends per second and latencies of appends of 1 KB, each writer in a session of its own.
func BenchmarkAppend(b *testing.B) {
	p := servers.Postgres(b)
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := open(b, p.URL(), Config{Schema: fmt.Sprintf("w%d", writers)})
			var n atomic.Int64
			var wg sync.WaitGroup
			var mu sync.Mutex
			var all []time.Duration
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					var at session.Position
					var took []time.Duration
					for n.Add(1) <= int64(b.N) {
						rec := record(at, strings.Repeat("x", 1000))
						began := time.Now()
						if err := s.Append(b.Context(), session.Key{ID: fmt.Sprint(w)}, at, rec, session.Attention{Owner: "r", Due: 5}); err != nil {
							b.Error(err)
							return
						}
						took = append(took, time.Since(began))
						at = rec.Position()
					}
					mu.Lock()
					defer mu.Unlock()
					all = append(all, took...)
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			if slices.Sort(all); len(all) == 0 {
				return
			}
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
		})
	}
}
