package sessiontest

import (
	"bytes"
	"context"
	"slices"

	"github.com/agentkernel/agentkernel/session"
)

// The methods of session.Store, each through call. Arguments that a late call still needs are copied, because their
// caller may change them as soon as it has its answer.

// Append is session.Journal's.
func (f *Faulty) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	rec.Data = bytes.Clone(rec.Data)
	return f.call(ctx, Append, key, func(ctx context.Context) error { return f.inner.Append(ctx, key, at, rec, next) })
}

// Read is session.Journal's.
func (f *Faulty) Read(ctx context.Context, key session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	type out struct {
		head    session.Head
		records []session.Record
	}
	o, err := value(ctx, f, Read, key, func(ctx context.Context) (o out, err error) {
		o.head, o.records, err = f.inner.Read(ctx, key, after, limit)
		return o, err
	})
	return o.head, o.records, err
}

// value is call for methods that return something. What a failed or late call found is not returned.
func value[T any](ctx context.Context, f *Faulty, m Method, key session.Key, get func(context.Context) (T, error)) (T, error) {
	got := make(chan T, 1)
	err := f.call(ctx, m, key, func(ctx context.Context) error {
		v, err := get(ctx)
		if err == nil {
			got <- v
		}
		return err
	})
	var v T
	if err == nil {
		v = <-got
	}
	return v, err
}

// Heads is session.Journal's.
func (f *Faulty) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	keys = slices.Clone(keys)
	var first session.Key
	if len(keys) > 0 {
		first = keys[0]
	}
	return value(ctx, f, Heads, first, func(ctx context.Context) ([]session.Head, error) { return f.inner.Heads(ctx, keys) })
}

// Erase is session.Journal's.
func (f *Faulty) Erase(ctx context.Context, key session.Key, at session.Position, tomb session.Tombstone) error {
	tomb.Keys = slices.Clone(tomb.Keys)
	return f.call(ctx, Erase, key, func(ctx context.Context) error { return f.inner.Erase(ctx, key, at, tomb) })
}

// Due is session.Agenda's.
func (f *Faulty) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	return value(ctx, f, Due, session.Key{}, func(ctx context.Context) ([]session.Head, error) {
		return f.inner.Due(ctx, owner, before, limit)
	})
}

// Beat is session.Liveness's.
func (f *Faulty) Beat(ctx context.Context, r session.Replica) error {
	r.Info = bytes.Clone(r.Info)
	return f.call(ctx, Beat, session.Key{}, func(ctx context.Context) error { return f.inner.Beat(ctx, r) })
}

// Replicas is session.Liveness's.
func (f *Faulty) Replicas(ctx context.Context) ([]session.Replica, error) {
	return value(ctx, f, Replicas, session.Key{}, f.inner.Replicas)
}

// Leave is session.Liveness's.
func (f *Faulty) Leave(ctx context.Context, id string) error {
	return f.call(ctx, Leave, session.Key{}, func(ctx context.Context) error { return f.inner.Leave(ctx, id) })
}

// PutSnapshot is session.Snapshots's.
func (f *Faulty) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	snap.Data = bytes.Clone(snap.Data)
	return f.call(ctx, PutSnapshot, key, func(ctx context.Context) error { return f.inner.PutSnapshot(ctx, key, snap) })
}

// Snapshot is session.Snapshots's.
func (f *Faulty) Snapshot(ctx context.Context, key session.Key) (session.Snapshot, error) {
	return value(ctx, f, GetSnapshot, key, func(ctx context.Context) (session.Snapshot, error) { return f.inner.Snapshot(ctx, key) })
}

// Trim is session.Snapshots's.
func (f *Faulty) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	return f.call(ctx, Trim, key, func(ctx context.Context) error { return f.inner.Trim(ctx, key, life, upTo) })
}

// PutBlob is session.Blobs's.
func (f *Faulty) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	data = bytes.Clone(data)
	return f.call(ctx, PutBlob, key, func(ctx context.Context) error { return f.inner.PutBlob(ctx, key, life, digest, data) })
}

// Blob is session.Blobs's.
func (f *Faulty) Blob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	return value(ctx, f, GetBlob, key, func(ctx context.Context) ([]byte, error) { return f.inner.Blob(ctx, key, life, digest) })
}

// BlobList is session.Blobs's.
func (f *Faulty) BlobList(ctx context.Context, key session.Key, life uint64) ([]session.BlobInfo, error) {
	return value(ctx, f, BlobList, key, func(ctx context.Context) ([]session.BlobInfo, error) { return f.inner.BlobList(ctx, key, life) })
}

// DropBlob is session.Blobs's.
func (f *Faulty) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	return f.call(ctx, DropBlob, key, func(ctx context.Context) error { return f.inner.DropBlob(ctx, key, life, b) })
}

// PutHint is session.Hints's.
func (f *Faulty) PutHint(ctx context.Context, h session.Hint) error {
	h.Value = bytes.Clone(h.Value)
	return f.call(ctx, PutHint, session.Key{}, func(ctx context.Context) error { return f.inner.PutHint(ctx, h) })
}

// Hints is session.Hints's.
func (f *Faulty) Hints(ctx context.Context, prefix string) ([]session.Hint, error) {
	return value(ctx, f, Hints, session.Key{}, func(ctx context.Context) ([]session.Hint, error) { return f.inner.Hints(ctx, prefix) })
}

// List is session.Directory's.
func (f *Faulty) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	return value(ctx, f, List, session.Key{}, func(ctx context.Context) ([]session.Head, error) { return f.inner.List(ctx, q) })
}

// Tenants is session.Directory's.
func (f *Faulty) Tenants(ctx context.Context) ([]string, error) {
	return value(ctx, f, Tenants, session.Key{}, f.inner.Tenants)
}

// Meta is session.Directory's.
func (f *Faulty) Meta(ctx context.Context) (session.Meta, error) {
	return value(ctx, f, Meta, session.Key{}, f.inner.Meta)
}

// RaiseGeneration is session.Directory's.
func (f *Faulty) RaiseGeneration(ctx context.Context) error {
	return f.call(ctx, Raise, session.Key{}, f.inner.RaiseGeneration)
}

// Durability is what the wrapped store declares.
func (f *Faulty) Durability() session.Durability { return f.inner.Durability() }

// Watch is the wrapped store's; when that one cannot watch, the channel stays silent, as a hint may.
func (f *Faulty) Watch(ctx context.Context) (<-chan struct{}, error) {
	if w, ok := f.inner.(session.Watcher); ok {
		return w.Watch(ctx)
	}
	return make(chan struct{}, 1), nil
}

// Close forgets late calls that were not released, and closes the wrapped store.
func (f *Faulty) Close() error {
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	if first {
		close(f.closing)
	}
	f.pending.Wait()
	return f.inner.Close()
}
