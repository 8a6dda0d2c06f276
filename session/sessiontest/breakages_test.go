package sessiontest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/agentkernel/agentkernel/session"
)

// breakage is one way for a store to be wrong.
type breakage struct {
	name string
	bend func(*broken)
}

// peek is the stored head, whatever the context.
func peek(b *broken, k session.Key) session.Head {
	heads, err := b.Store.Heads(context.Background(), []session.Key{k})
	if err != nil {
		return session.Head{}
	}
	return heads[0]
}

// guess bends the guard of Append: alter may move the position that the writer gave towards the stored one.
func guess(alter func(at *session.Position, stored session.Position)) func(*broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			alter(&at, peek(b, k).Position)
			rec.Life, rec.Seq = at.Life, at.Len+1
			if at.Len == 0 {
				rec.Life++
			}
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}
}

// heads bends every head that Heads and Read return.
func heads(alter func(*session.Head)) func(*broken) {
	return func(b *broken) {
		b.heads = func(ctx context.Context, keys []session.Key) ([]session.Head, error) {
			out, err := b.Store.Heads(ctx, keys)
			for i := range out {
				alter(&out[i])
			}
			return out, err
		}
		b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
			h, records, err := b.Store.Read(ctx, k, after, limit)
			alter(&h)
			return h, records, err
		}
	}
}

// keys bends every key of the journal's methods.
func keys(alter func(session.Key) session.Key) func(*broken) {
	return func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			return b.Store.Append(ctx, alter(k), at, rec, next)
		}
		b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
			h, records, err := b.Store.Read(ctx, alter(k), after, limit)
			h.Key = k
			return h, records, err
		}
		b.heads = func(ctx context.Context, ks []session.Key) ([]session.Head, error) {
			var in []session.Key
			for _, k := range ks {
				in = append(in, alter(k))
			}
			out, err := b.Store.Heads(ctx, in)
			for i := range out {
				out[i].Key = ks[i]
			}
			return out, err
		}
	}
}

var journalBreakages = []breakage{
	{"the guard ignores the id", guess(func(at *session.Position, s session.Position) {
		if at.Len == s.Len && at.Life == s.Life {
			at.LastID = s.LastID
		}
	})},
	{"the guard ignores the life", guess(func(at *session.Position, s session.Position) {
		if at.Len == s.Len && at.LastID == s.LastID {
			at.Life = s.Life
		}
	})},
	{"the guard ignores the length", guess(func(at *session.Position, s session.Position) {
		if at.Life == s.Life && at.LastID == s.LastID {
			at.Len = s.Len
		}
	})},
	{"there is no guard", guess(func(at *session.Position, s session.Position) { *at = s })},
	{"the guard is checked before the write instead of with it", checkThenAct},
	{"records that do not fit are taken", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			fit := record(at, "")
			rec.Life, rec.Seq = fit.Life, fit.Seq
			if rec.ID == "" {
				rec.ID = fit.ID
			}
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}},
	{"a lost write is acknowledged", func(b *broken) {
		var n atomic.Int32
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			if n.Add(1) == 3 && peek(b, k).Position == at {
				return nil
			}
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}},
	{"a write that was done answers with a conflict", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			if err := b.Store.Append(ctx, k, at, rec, next); err != nil || rec.Seq != 3 {
				return err
			}
			return session.ErrConflict
		}
	}},
	{"a conflict changes the attention", func(b *broken) {
		var extra sync.Map
		heads(func(h *session.Head) {
			if a, ok := extra.Load(h.Key); ok {
				h.Attention = a.(session.Attention)
			}
		})(b)
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			err := b.Store.Append(ctx, k, at, rec, next)
			if extra.Delete(k); isConflict(err) {
				extra.Store(k, next)
			}
			return err
		}
	}},
	{"zero attention keeps the one before", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			if next.Owner == "" {
				next.Owner = peek(b, k).Owner
			}
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}},
	{"the agenda's time is not set", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			next.Expiry = 0
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}},
	{"numbers are floating point", heads(func(h *session.Head) { h.Epoch = uint64(float64(h.Epoch)) })},
	{"the update time is missing", heads(func(h *session.Head) { h.Updated = 0 })},
	{"heads are stale", staleHeads},
	{"reads are stale", staleReads},
	{"heads are in another order", func(b *broken) {
		b.heads = func(ctx context.Context, keys []session.Key) ([]session.Head, error) {
			out, err := b.Store.Heads(ctx, keys)
			for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
				out[i], out[j] = out[j], out[i]
			}
			return out, err
		}
	}},
	{"unused sessions have no head", func(b *broken) {
		b.heads = func(ctx context.Context, keys []session.Key) (used []session.Head, err error) {
			out, err := b.Store.Heads(ctx, keys)
			for _, h := range out {
				if h.Position != (session.Position{}) {
					used = append(used, h)
				}
			}
			return used, err
		}
	}},
	{"head and records are read one after the other", tornRead},
	{"read ignores the limit", func(b *broken) {
		b.read = func(ctx context.Context, k session.Key, after uint64, _ int) (session.Head, []session.Record, error) {
			return b.Store.Read(ctx, k, after, 0)
		}
	}},
	{"read begins at the number instead of above it", func(b *broken) {
		b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
			return b.Store.Read(ctx, k, max(after, 1)-1, limit)
		}
	}},
	{"tenants share ids", keys(func(k session.Key) session.Key { return session.Key{ID: k.ID} })},
	{"keys are joined with a character that ids may have", keys(func(k session.Key) session.Key {
		return session.Key{ID: strings.TrimPrefix(k.Tenant+":"+k.ID, ":")}
	})},
	{"keys are folded to lower case", keys(func(k session.Key) session.Key {
		return session.Key{Tenant: strings.ToLower(k.Tenant), ID: strings.ToLower(k.ID)}
	})},
	{"long keys are cut", keys(func(k session.Key) session.Key {
		return session.Key{Tenant: k.Tenant, ID: k.ID[:min(len(k.ID), 64)]}
	})},
}

// checkThenAct compares first and writes later, as a store without a conditional write would.
func checkThenAct(b *broken) {
	b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
		if peek(b, k).Position != at {
			return session.ErrConflict
		}
		for range 50 {
			runtime.Gosched()
		}
		now := peek(b, k).Position
		fit := record(now, "")
		rec.Life, rec.Seq = fit.Life, fit.Seq
		return b.Store.Append(ctx, k, now, rec, next)
	}
}

// staleHeads answers each second question about a session with the answer before.
func staleHeads(b *broken) {
	var mu sync.Mutex
	last := map[string][]session.Head{}
	b.heads = func(ctx context.Context, keys []session.Key) ([]session.Head, error) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprint(keys)
		if old, ok := last[name]; ok {
			delete(last, name)
			return old, ctx.Err()
		}
		out, err := b.Store.Heads(ctx, keys)
		last[name] = out
		return out, err
	}
}

// staleReads is staleHeads for Read.
func staleReads(b *broken) {
	type answer struct {
		head    session.Head
		records []session.Record
	}
	var mu sync.Mutex
	last := map[string]answer{}
	b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprint(k, after, limit)
		if old, ok := last[name]; ok {
			delete(last, name)
			return old.head, old.records, ctx.Err()
		}
		h, records, err := b.Store.Read(ctx, k, after, limit)
		if err == nil {
			last[name] = answer{h, records}
		}
		return h, records, err
	}
}

// tornRead lets appends in between the head and the records.
func tornRead(b *broken) {
	b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
		h := peek(b, k)
		for range 1000 {
			runtime.Gosched()
			if peek(b, k).Len != h.Len {
				break
			}
		}
		_, records, err := b.Store.Read(ctx, k, after, limit)
		return h, records, err
	}
}
