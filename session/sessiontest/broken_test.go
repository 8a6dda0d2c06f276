package sessiontest

import (
	"context"

	"github.com/agentkernel/agentkernel/session"
)

// broken is a store of which some methods are replaced by wrong ones.
type broken struct {
	session.Store
	append      func(context.Context, session.Key, session.Position, session.Record, session.Attention) error
	read        func(context.Context, session.Key, uint64, int) (session.Head, []session.Record, error)
	heads       func(context.Context, []session.Key) ([]session.Head, error)
	erase       func(context.Context, session.Key, session.Position, session.Tombstone) error
	due         func(context.Context, string, session.Millis, int) ([]session.Head, error)
	beat        func(context.Context, session.Replica) error
	replicas    func(context.Context) ([]session.Replica, error)
	putSnapshot func(context.Context, session.Key, session.Snapshot) error
	snapshot    func(context.Context, session.Key) (session.Snapshot, error)
	trim        func(context.Context, session.Key, uint64, uint64) error
	putBlob     func(context.Context, session.Key, uint64, string, []byte) error
	blob        func(context.Context, session.Key, uint64, string) ([]byte, error)
	dropBlob    func(context.Context, session.Key, uint64, session.BlobInfo) error
	tenants     func(context.Context) ([]string, error)
	blobList    func(context.Context, session.Key, uint64) ([]session.BlobInfo, error)
	raise       func(context.Context) error
	hints       func(context.Context, string) ([]session.Hint, error)
	list        func(context.Context, session.Query) ([]session.Head, error)
	meta        func(context.Context) (session.Meta, error)
	watch       func(context.Context) (<-chan struct{}, error)
	close       func() error
}

func (b *broken) Append(ctx context.Context, k session.Key, at session.Position, rec session.Record, next session.Attention) error {
	if b.append != nil {
		return b.append(ctx, k, at, rec, next)
	}
	return b.Store.Append(ctx, k, at, rec, next)
}

func (b *broken) Read(ctx context.Context, k session.Key, after uint64, limit int) (session.Head, []session.Record, error) {
	if b.read != nil {
		return b.read(ctx, k, after, limit)
	}
	return b.Store.Read(ctx, k, after, limit)
}

func (b *broken) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	if b.heads != nil {
		return b.heads(ctx, keys)
	}
	return b.Store.Heads(ctx, keys)
}

func (b *broken) Erase(ctx context.Context, k session.Key, at session.Position, t session.Tombstone) error {
	if b.erase != nil {
		return b.erase(ctx, k, at, t)
	}
	return b.Store.Erase(ctx, k, at, t)
}

func (b *broken) Due(ctx context.Context, owner string, before session.Millis, limit int) ([]session.Head, error) {
	if b.due != nil {
		return b.due(ctx, owner, before, limit)
	}
	return b.Store.Due(ctx, owner, before, limit)
}

func (b *broken) Beat(ctx context.Context, r session.Replica) error {
	if b.beat != nil {
		return b.beat(ctx, r)
	}
	return b.Store.Beat(ctx, r)
}

func (b *broken) Replicas(ctx context.Context) ([]session.Replica, error) {
	if b.replicas != nil {
		return b.replicas(ctx)
	}
	return b.Store.Replicas(ctx)
}

func (b *broken) PutSnapshot(ctx context.Context, k session.Key, s session.Snapshot) error {
	if b.putSnapshot != nil {
		return b.putSnapshot(ctx, k, s)
	}
	return b.Store.PutSnapshot(ctx, k, s)
}

func (b *broken) Snapshot(ctx context.Context, k session.Key) (session.Snapshot, error) {
	if b.snapshot != nil {
		return b.snapshot(ctx, k)
	}
	return b.Store.Snapshot(ctx, k)
}

func (b *broken) Trim(ctx context.Context, k session.Key, life, upTo uint64) error {
	if b.trim != nil {
		return b.trim(ctx, k, life, upTo)
	}
	return b.Store.Trim(ctx, k, life, upTo)
}

func (b *broken) PutBlob(ctx context.Context, k session.Key, life uint64, d string, data []byte) error {
	if b.putBlob != nil {
		return b.putBlob(ctx, k, life, d, data)
	}
	return b.Store.PutBlob(ctx, k, life, d, data)
}

func (b *broken) Blob(ctx context.Context, k session.Key, life uint64, d string) ([]byte, error) {
	if b.blob != nil {
		return b.blob(ctx, k, life, d)
	}
	return b.Store.Blob(ctx, k, life, d)
}

func (b *broken) DropBlob(ctx context.Context, k session.Key, life uint64, i session.BlobInfo) error {
	if b.dropBlob != nil {
		return b.dropBlob(ctx, k, life, i)
	}
	return b.Store.DropBlob(ctx, k, life, i)
}

func (b *broken) BlobList(ctx context.Context, k session.Key, life uint64) ([]session.BlobInfo, error) {
	if b.blobList != nil {
		return b.blobList(ctx, k, life)
	}
	return b.Store.BlobList(ctx, k, life)
}

func (b *broken) RaiseGeneration(ctx context.Context) error {
	if b.raise != nil {
		return b.raise(ctx)
	}
	return b.Store.RaiseGeneration(ctx)
}

func (b *broken) Hints(ctx context.Context, prefix string) ([]session.Hint, error) {
	if b.hints != nil {
		return b.hints(ctx, prefix)
	}
	return b.Store.Hints(ctx, prefix)
}

func (b *broken) List(ctx context.Context, q session.Query) ([]session.Head, error) {
	if b.list != nil {
		return b.list(ctx, q)
	}
	return b.Store.List(ctx, q)
}

func (b *broken) Meta(ctx context.Context) (session.Meta, error) {
	if b.meta != nil {
		return b.meta(ctx)
	}
	return b.Store.Meta(ctx)
}

func (b *broken) Watch(ctx context.Context) (<-chan struct{}, error) {
	if b.watch != nil {
		return b.watch(ctx)
	}
	return b.Store.(session.Watcher).Watch(ctx)
}

func (b *broken) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Store.Close()
}

func (b *broken) Tenants(ctx context.Context) ([]string, error) {
	if b.tenants != nil {
		return b.tenants(ctx)
	}
	return b.Store.Tenants(ctx)
}
