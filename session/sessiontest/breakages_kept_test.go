package sessiontest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"

	"github.com/agentkernel/agentkernel/session"
)

var keptBreakages = []breakage{
	{"an erase loses the tombstone", heads(func(h *session.Head) { h.Tomb = nil })},
	{"an erase forgets the life", heads(func(h *session.Head) {
		if h.Len == 0 {
			h.Life = 0
		}
	})},
	{"the tombstone outlives the next use", heads(func(h *session.Head) {
		if h.Life > 1 {
			h.Tomb = &session.Tombstone{Until: farFuture, Keys: []string{"k1", "k2"}}
		}
	})},
	{"the tombstone loses its keys", heads(func(h *session.Head) {
		if h.Tomb != nil {
			h.Tomb.Keys = nil
		}
	})},
	{"an erase has no guard", func(b *broken) {
		b.erase = func(ctx context.Context, k session.Key, _ session.Position, t session.Tombstone) error {
			return b.Store.Erase(ctx, k, peek(b, k).Position, t)
		}
	}},
	{"an erase compares the life only", func(b *broken) {
		b.erase = func(ctx context.Context, k session.Key, at session.Position, t session.Tombstone) error {
			if now := peek(b, k).Position; now.Life == at.Life && now.Len > 0 {
				at = now
			}
			return b.Store.Erase(ctx, k, at, t)
		}
	}},
	{"an erase checks before it deletes", func(b *broken) {
		b.erase = func(ctx context.Context, k session.Key, at session.Position, t session.Tombstone) error {
			if peek(b, k).Position != at {
				return session.ErrConflict
			}
			for range 50 {
				runtime.Gosched()
			}
			return b.Store.Erase(ctx, k, peek(b, k).Position, t)
		}
	}},
	{"an erase leaves the snapshot", func(b *broken) {
		var kept session.Snapshot
		b.snapshot = func(ctx context.Context, k session.Key) (session.Snapshot, error) {
			snap, err := b.Store.Snapshot(ctx, k)
			if err == nil {
				kept = snap
			} else if kept.Seq > 0 {
				return kept, nil
			}
			return snap, err
		}
	}},
	{"an erase leaves blobs", func(b *broken) {
		kept := map[string][]byte{}
		b.putBlob = func(ctx context.Context, k session.Key, life uint64, d string, data []byte) error {
			kept[k.String()+d] = data
			return b.Store.PutBlob(ctx, k, life, d, data)
		}
		b.blob = func(ctx context.Context, k session.Key, life uint64, d string) ([]byte, error) {
			data, err := b.Store.Blob(ctx, k, life, d)
			if old, ok := kept[k.String()+d]; ok && err != nil {
				return old, nil
			}
			return data, err
		}
	}},
	{"the last snapshot put wins", func(b *broken) {
		var last session.Snapshot
		b.putSnapshot = func(ctx context.Context, k session.Key, s session.Snapshot) error {
			err := b.Store.PutSnapshot(ctx, k, s)
			if err == nil {
				last = s
			}
			return err
		}
		b.snapshot = func(ctx context.Context, k session.Key) (session.Snapshot, error) {
			if _, err := b.Store.Snapshot(ctx, k); err != nil {
				return session.Snapshot{}, err
			}
			return last, nil
		}
	}},
	{"a refused snapshot is silent", func(b *broken) {
		b.putSnapshot = func(ctx context.Context, k session.Key, s session.Snapshot) error {
			if err := b.Store.PutSnapshot(ctx, k, s); !isConflict(err) {
				return err
			}
			return nil
		}
	}},
	{"a trim does not look at the snapshot", func(b *broken) {
		b.trim = func(ctx context.Context, k session.Key, life, upTo uint64) error {
			h := peek(b, k)
			_ = b.Store.PutSnapshot(ctx, k, session.Snapshot{Life: h.Life, Seq: h.Len, Data: []byte("s")})
			return b.Store.Trim(ctx, k, life, upTo)
		}
	}},
	{"a trim takes the last record too", func(b *broken) {
		gone := map[session.Key]uint64{}
		b.trim = func(ctx context.Context, k session.Key, life, upTo uint64) error {
			gone[k] = upTo
			return b.Store.Trim(ctx, k, life, upTo)
		}
		b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
			h, records, err := b.Store.Read(ctx, k, after, limit)
			if h.Len > 0 && gone[k] >= h.Len {
				return h, nil, session.ErrTrimmed
			}
			return h, records, err
		}
	}},
	{"a trim does nothing", func(b *broken) {
		b.trim = func(context.Context, session.Key, uint64, uint64) error { return nil }
	}},
	{"a trim ignores the life", func(b *broken) {
		b.trim = func(ctx context.Context, k session.Key, _, upTo uint64) error {
			return b.Store.Trim(ctx, k, peek(b, k).Life, upTo)
		}
	}},
	{"a read over trimmed records begins later", func(b *broken) {
		b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
			for {
				h, records, err := b.Store.Read(ctx, k, after, limit)
				if !errors.Is(err, session.ErrTrimmed) {
					return h, records, err
				}
				after++
			}
		}
	}},
	{"blobs ignore the life", func(b *broken) {
		b.blob = func(ctx context.Context, k session.Key, life uint64, d string) ([]byte, error) {
			return b.Store.Blob(ctx, k, peek(b, k).Life, d)
		}
	}},
	{"a missing blob is empty", func(b *broken) {
		b.blob = func(ctx context.Context, k session.Key, life uint64, d string) ([]byte, error) {
			data, err := b.Store.Blob(ctx, k, life, d)
			if errors.Is(err, session.ErrNoValue) {
				return nil, nil
			}
			return data, err
		}
	}},
	{"a blob needs a record first", func(b *broken) {
		b.putBlob = func(ctx context.Context, k session.Key, life uint64, d string, data []byte) error {
			if peek(b, k).Len == 0 {
				return session.ErrConflict
			}
			return b.Store.PutBlob(ctx, k, life, d, data)
		}
	}},
	{"the list of blobs ignores the life", func(b *broken) {
		b.blobList = func(ctx context.Context, k session.Key, _ uint64) ([]session.BlobInfo, error) {
			return b.Store.BlobList(ctx, k, max(1, peek(b, k).Life))
		}
	}},
	{"the list of blobs has no sizes", func(b *broken) {
		b.blobList = func(ctx context.Context, k session.Key, life uint64) ([]session.BlobInfo, error) {
			all, err := b.Store.BlobList(ctx, k, life)
			for i := range all {
				all[i].Size = 0
			}
			return all, err
		}
	}},
	{"a drop takes what was put again", func(b *broken) {
		b.dropBlob = func(ctx context.Context, k session.Key, life uint64, i session.BlobInfo) error {
			all, _ := b.Store.BlobList(ctx, k, life)
			for _, now := range all {
				if now.Digest == i.Digest {
					i = now
				}
			}
			return b.Store.DropBlob(ctx, k, life, i)
		}
	}},
	{"a drop does nothing", func(b *broken) {
		b.dropBlob = func(ctx context.Context, _ session.Key, _ uint64, _ session.BlobInfo) error { return ctx.Err() }
	}},
	{"a blob put again keeps its time", func(b *broken) {
		b.putBlob = func(ctx context.Context, k session.Key, life uint64, d string, data []byte) error {
			if _, err := b.Store.Blob(ctx, k, life, d); err == nil {
				return nil
			}
			return b.Store.PutBlob(ctx, k, life, d, data)
		}
	}},
	{"raising the generation does nothing", func(b *broken) {
		b.raise = func(ctx context.Context) error { return ctx.Err() }
	}},
	{"large blobs are refused", func(b *broken) {
		b.putBlob = func(ctx context.Context, k session.Key, life uint64, d string, data []byte) error {
			if len(data) > 400<<10 {
				return session.ErrNotSent
			}
			return b.Store.PutBlob(ctx, k, life, d, data)
		}
	}},
}

var sharedBreakages = []breakage{
	{"beats are not written again", func(b *broken) {
		seen := map[string]bool{}
		b.beat = func(ctx context.Context, r session.Replica) error {
			if seen[r.ID] {
				return ctx.Err()
			}
			seen[r.ID] = true
			return b.Store.Beat(ctx, r)
		}
	}},
	{"replicas lose their info", func(b *broken) {
		b.replicas = func(ctx context.Context) ([]session.Replica, error) {
			out, err := b.Store.Replicas(ctx)
			for i := range out {
				out[i].Info = nil
			}
			return out, err
		}
	}},
	{"hints ignore the prefix", func(b *broken) {
		b.hints = func(ctx context.Context, _ string) ([]session.Hint, error) { return b.Store.Hints(ctx, "") }
	}},
	{"hints take the prefix for a pattern", func(b *broken) {
		b.hints = func(ctx context.Context, prefix string) ([]session.Hint, error) {
			return b.Store.Hints(ctx, strings.TrimRight(prefix, "%*_"))
		}
	}},
	{"returned bytes are shared", sharedBytes},
	{"bytes handed in are kept", keptBytes},
	{"ended contexts are ignored", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			return b.Store.Append(context.WithoutCancel(ctx), k, at, rec, next)
		}
	}},
	{"ended contexts are not called unsent", func(b *broken) {
		b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return b.Store.Append(ctx, k, at, rec, next)
		}
	}},
	{"close does nothing", func(b *broken) { b.close = func() error { return nil } }},
	{"close fails the second time", func(b *broken) {
		closed := false
		b.close = func() error {
			if closed {
				return errors.New("closed already")
			}
			closed = true
			return b.Store.Close()
		}
	}},
	{"there is no generation", func(b *broken) {
		b.meta = func(ctx context.Context) (session.Meta, error) {
			m, err := b.Store.Meta(ctx)
			m.Generation = 0
			return m, err
		}
	}},
	{"the watch channel is closed", func(b *broken) {
		b.watch = func(context.Context) (<-chan struct{}, error) {
			ch := make(chan struct{}, 1)
			close(ch)
			return ch, nil
		}
	}},
}

// sharedBytes returns the same bytes to every reader.
func sharedBytes(b *broken) {
	var mu sync.Mutex
	kept := map[string][]byte{}
	b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
		h, records, err := b.Store.Read(ctx, k, after, limit)
		mu.Lock()
		defer mu.Unlock()
		for i, r := range records {
			if kept[r.ID] == nil {
				kept[r.ID] = r.Data
			}
			records[i].Data = kept[r.ID]
		}
		return h, records, err
	}
}

// keptBytes returns the bytes that the writer handed in.
func keptBytes(b *broken) {
	sharedBytes(b)
	var mu sync.Mutex
	kept := map[string][]byte{}
	b.append = func(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
		mu.Lock()
		kept[rec.ID] = rec.Data
		mu.Unlock()
		return b.Store.Append(ctx, k, at, rec, next)
	}
	b.read = func(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
		h, records, err := b.Store.Read(ctx, k, after, limit)
		mu.Lock()
		defer mu.Unlock()
		for i, r := range records {
			if data, ok := kept[r.ID]; ok {
				records[i].Data = append([]byte(nil), data...)
			}
		}
		return h, records, err
	}
}
