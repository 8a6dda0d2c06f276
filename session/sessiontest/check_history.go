package sessiontest

import (
	"context"
	"slices"

	"github.com/agentkernel/agentkernel/session"
)

var historyChecks = []check{
	{name: "concurrent calls through two handles have an order that explains their answers", run: checkLinearizable},
}

// history runs clients that append to, read and erase a few sessions through the given handles at once, and returns the
// sessions for which no order of the calls explains the answers.
func history(ctx context.Context, stores []session.Store, clients, calls int, seed uint64) []string {
	r := newRecorder(HistoryConfig{Clients: clients, Sessions: 2, Calls: clients * calls, Search: timeout / 4, Seed: seed, erases: true})
	var all []*client
	for n := range clients {
		all = append(all, r.client(n, stores[n%len(stores)]))
	}
	r.work(ctx, all, func(c *client) bool {
		c.acts++
		return c.acts > calls
	})
	for key, ops := range r.ops {
		if p := explain(key, ops, r.cfg.Search); p != "" {
			r.report.Problems = append(r.report.Problems, p)
		}
	}
	slices.Sort(r.report.Problems)
	return r.report.Problems
}

func checkLinearizable(r *run) {
	const seed = 1
	problems := history(r.ctx, []session.Store{r.s, r.second()}, 6, 60, seed)
	r.want(len(problems) == 0, "seed %d: %v", seed, problems)
}
