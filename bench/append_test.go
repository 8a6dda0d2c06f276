package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

// turnsTaken is how often the store and the raw write take turns within one measurement, so that both see the same
// machine.
const turnsTaken = 6

// BenchmarkAppend measures appends beside raw writes, and prints all results as one table at the end.
func BenchmarkAppend(b *testing.B) {
	var lines []string
	for _, k := range kinds {
		for _, writers := range []int{1, 16, 64} {
			var last pair
			b.Run(fmt.Sprintf("%s/writers=%d", k.name, writers), func(b *testing.B) { last = compare(b, k, writers) })
			if last.store.writes > 0 {
				lines = append(lines, fmt.Sprintf("| %s | %d | %s | %s | %s | %.2f |", k.name, writers, last.store, k.raw, last.raw, last.ratio()))
			}
		}
	}
	if len(lines) > 0 {
		fmt.Println("\n| store | writers | appends/s (p50, p99) | raw write | writes/s (p50, p99) | append/raw time |\n|---|---|---|---|---|---|\n" + strings.Join(lines, "\n"))
	}
}

// sample is what some writes took.
type sample struct {
	writes int
	took   time.Duration   // in all
	each   []time.Duration // of single writes
}

// pair is the store and the raw write in one run.
type pair struct{ store, raw sample }

func (p pair) ratio() float64 { return p.raw.rate() / p.store.rate() }

func (s sample) rate() float64 { return float64(s.writes) / s.took.Seconds() }

// quantile is a share q of the single writes' times.
func (s sample) quantile(q float64) time.Duration {
	if len(s.each) == 0 {
		return 0
	}
	return s.each[min(int(q*float64(len(s.each))), len(s.each)-1)]
}

func (s sample) String() string {
	return fmt.Sprintf("%.0f (%.2f ms, %.2f ms)", s.rate(), s.quantile(0.5).Seconds()*1e3, s.quantile(0.99).Seconds()*1e3)
}

// compare measures b.N appends and b.N raw writes, by turns.
func compare(b *testing.B, k kind, writers int) (p pair) {
	s := k.make(b)
	store := s.handle(b)
	data := make([]byte, recordSize)
	at := make([]session.Position, writers)
	next := make([]int, writers)
	appends := func(ctx context.Context, w int) error {
		rec := record(at[w], data)
		err := store.Append(ctx, session.Key{ID: fmt.Sprint("writer-", w)}, at[w], rec, session.Attention{Owner: "r", Epoch: 1, Due: 1})
		at[w] = rec.Position()
		return err
	}
	raws := func(ctx context.Context, w int) error {
		next[w]++
		return s.raw(ctx, w, next[w], data)
	}
	b.ResetTimer()
	for turn := range turnsTaken {
		n := b.N/turnsTaken + min(1, max(0, b.N%turnsTaken-turn))
		p.raw.measure(b, writers, n, raws)
		p.store.measure(b, writers, n, appends)
	}
	b.StopTimer()
	slices.Sort(p.store.each)
	slices.Sort(p.raw.each)
	b.ReportMetric(0, "ns/op") // it would be the time of one append and one raw write
	b.ReportMetric(p.store.rate(), "appends/s")
	b.ReportMetric(p.raw.rate(), "raw/s")
	b.ReportMetric(p.ratio(), "append/raw")
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.ReportMetric(p.store.quantile(q.q).Seconds()*1e3, q.name+"-append-ms")
		b.ReportMetric(p.raw.quantile(q.q).Seconds()*1e3, q.name+"-raw-ms")
	}
	return p
}

// measure has writers share n writes.
func (s *sample) measure(b *testing.B, writers, n int, write func(ctx context.Context, w int) error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	begin := time.Now()
	for w := range writers {
		share := n / writers
		if w < n%writers {
			share++
		}
		wg.Go(func() {
			each := make([]time.Duration, 0, share)
			for range share {
				start := time.Now()
				if err := write(context.Background(), w); err != nil {
					b.Error(err)
					return
				}
				each = append(each, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			s.each = append(s.each, each...)
		})
	}
	wg.Wait()
	s.took += time.Since(begin)
	s.writes += n
}
