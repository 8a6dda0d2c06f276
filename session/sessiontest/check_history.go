package sessiontest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/agentkernel/agentkernel/session"
)

var historyChecks = []check{
	{name: "concurrent calls through two handles have an order that explains their answers", run: checkLinearizable},
}

// journal is the model's state of one session: where it stands, and the ids of its records.
type journal struct {
	at  session.Position
	ids string
}

// step is one call of a history. A nil rec and no erase is a read.
type step struct {
	key   session.Key
	at    session.Position
	rec   *session.Record
	erase bool
}

// outcome is what a call answered.
type outcome struct {
	seen    journal // by a read
	won     bool    // by a write
	unknown bool    // the write's answer was lost
}

// model is the contract of Append, Erase and Read, for one session.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[session.Key][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(step).key
			parts[key] = append(parts[key], op)
		}
		var out [][]porcupine.Operation
		for _, p := range parts {
			out = append(out, p)
		}
		return out
	},
	Init: func() []any { return []any{journal{}} },
	Step: func(state, input, output any) []any {
		now, in, out := state.(journal), input.(step), output.(outcome)
		if in.rec == nil && !in.erase {
			if out.seen == now {
				return []any{now}
			}
			return nil
		}
		fits := now.at == in.at
		switch {
		case out.unknown && fits:
			return []any{now, after(now, in)}
		case out.unknown:
			return []any{now}
		case out.won != fits:
			return nil
		case out.won:
			return []any{after(now, in)}
		}
		return []any{now}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// after is the state that a successful write leaves.
func after(now journal, in step) journal {
	if in.erase {
		return journal{at: session.Position{Life: in.at.Life}}
	}
	return journal{at: in.rec.Position(), ids: now.ids + in.rec.ID + " "}
}

// history runs clients that append to, read and erase a few sessions through the given handles at once, and reports
// whether the answers can be explained by some order of the calls. Calls whose outcome is unknown may have happened at
// any time after they began, or never.
func history(r *run, stores []session.Store, clients, calls int, seed uint64) bool {
	var mu sync.Mutex
	var ops []porcupine.Operation
	begin := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			cl := client{r: r, s: stores[c%len(stores)], rng: rand.New(rand.NewPCG(seed, uint64(c))), at: map[session.Key]session.Position{}}
			for n := range calls {
				call := time.Since(begin).Nanoseconds()
				in, out, ok := cl.next(fmt.Sprintf("%d/%d", c, n))
				if !ok {
					continue // a read that failed says nothing
				}
				end := time.Since(begin).Nanoseconds()
				if out.unknown {
					end = math.MaxInt64
				}
				mu.Lock()
				ops = append(ops, porcupine.Operation{ClientId: c, Input: in, Call: call, Output: out, Return: end})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return porcupine.CheckOperationsTimeout(model.ToModel(), ops, timeout/2) == porcupine.Ok
}

// client makes the calls of one history's client.
type client struct {
	r   *run
	s   session.Store
	rng *rand.Rand
	at  map[session.Key]session.Position // where it last saw each session
}

func (c *client) next(what string) (in step, out outcome, ok bool) {
	in.key = id(fmt.Sprintf("h%d", c.rng.IntN(2)))
	in.at = c.at[in.key]
	var err error
	switch n := c.rng.IntN(20); {
	case n < 9:
		head, records, err := c.s.Read(c.r.ctx, in.key, 0, 0)
		if err != nil {
			return in, out, false
		}
		var ids strings.Builder
		for _, rec := range records {
			ids.WriteString(rec.ID + " ")
		}
		out.seen = journal{at: head.Position, ids: ids.String()}
		c.at[in.key] = head.Position
		return in, out, true
	case n < 19:
		rec := record(in.at, what)
		in.rec = &rec
		err = c.s.Append(c.r.ctx, in.key, in.at, rec, session.Attention{})
	default:
		in.erase = true
		err = c.s.Erase(c.r.ctx, in.key, in.at, session.Tombstone{Until: farFuture})
	}
	out.won = err == nil
	out.unknown = err != nil && !isConflict(err) && !isNotSent(err)
	if out.won {
		c.at[in.key] = after(journal{}, in).at
	}
	return in, out, err == nil || !isNotSent(err)
}

func checkLinearizable(r *run) {
	stores := []session.Store{r.s, r.second()}
	const seed = 1
	r.want(history(r, stores, 6, 60, seed), "no order of the calls explains the answers of seed %d", seed)
}
