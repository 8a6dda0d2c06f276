package agentkernel

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/internal/failpoint"
	"github.com/agentkernel/agentkernel/session"
)

// What is too large for a record is stored beside the journal first and named in the record by its digest. A blob that
// no record came to name, or none names any more, is collected when records are trimmed, an hour after it was last put
// at the earliest: by then whoever put it has written its record, or will put it again.

const (
	blobCache = 16 << 20 // bytes of blobs kept in memory
	blobYoung = time.Hour
)

// blobs are those used lately. The zero value is ready.
type blobs struct {
	mu   sync.Mutex
	held map[blobName]*list.Element
	lru  list.List // of *heldBlob, most recently used first
	size int
}

type blobName struct {
	key    session.Key
	life   uint64
	digest string
}

type heldBlob struct {
	name blobName
	data []byte
}

func (b *blobs) get(n blobName) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.held[n]
	if e == nil {
		return nil, false
	}
	b.lru.MoveToFront(e)
	return bytes.Clone(e.Value.(*heldBlob).data), true
}

func (b *blobs) put(n blobName, data []byte) {
	if len(data) > blobCache/4 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[n] != nil {
		return
	}
	if b.held == nil {
		b.held = map[blobName]*list.Element{}
	}
	b.held[n] = b.lru.PushFront(&heldBlob{name: n, data: bytes.Clone(data)})
	for b.size += len(data); b.size > blobCache; {
		b.remove(b.lru.Back())
	}
}

// forget drops the blobs of an erased session.
func (b *blobs) forget(key session.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, e := range b.held {
		if n.key == key {
			b.remove(e)
		}
	}
}

func (b *blobs) remove(e *list.Element) {
	h := b.lru.Remove(e).(*heldBlob)
	delete(b.held, h.name)
	b.size -= len(h.data)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// putBlob stores data and returns its digest, which a record may name from then on.
func (k *Kernel) putBlob(ctx context.Context, key session.Key, life uint64, data []byte) (digest string, err error) {
	digest = digestOf(data)
	ctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	_ = k.fp.Hit(failpoint.BlobBefore)
	err = k.store.PutBlob(ctx, key, life, digest, data)
	_ = k.fp.Hit(failpoint.BlobAfter)
	switch {
	case errors.Is(err, session.ErrConflict):
		return "", fault.New(fault.Unavailable, "", "the session was erased meanwhile: %w", err).WithAfter(retryStore)
	case err != nil:
		return "", fault.New(kindOfStore(err), "", "what is too large for the journal cannot be stored: %w", err).WithAfter(time.Second)
	}
	k.blobs.put(blobName{key, life, digest}, data)
	return digest, nil
}

// getBlob is what putBlob stored: Corrupt when the store returns something else, LostByStore when it has nothing.
func (k *Kernel) getBlob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	name := blobName{key, life, digest}
	if data, ok := k.blobs.get(name); ok {
		return data, nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	data, err := k.store.Blob(ctx, key, life, digest)
	switch {
	case errors.Is(err, session.ErrNoValue):
		return nil, fault.New(fault.LostByStore, "", "the store no longer has what the journal of session %s names as %.12s…", key.ID, digest)
	case err != nil:
		return nil, fault.New(kindOfStore(err), "", "what the journal names cannot be read: %w", err).WithAfter(time.Second)
	case digestOf(data) != digest:
		return nil, fault.New(fault.Corrupt, "", "what the store has for %.12s… in session %s is something else", digest, key.ID)
	}
	k.blobs.put(name, data)
	return data, nil
}

// collect deletes blobs that nothing names: not the snapshot, nor any record above trimmed. Whatever contains a digest,
// wherever, names it.
func (k *Kernel) collect(key session.Key, life, trimmed uint64, snapshot []byte) error {
	ctx, cancel := k.opCtx()
	all, err := k.store.BlobList(ctx, key, life)
	cancel()
	if err != nil {
		return err
	}
	old := map[string]session.BlobInfo{}
	for _, b := range all {
		if b.Written < now()-millis(blobYoung) && !bytes.Contains(snapshot, []byte(b.Digest)) {
			old[b.Digest] = b
		}
	}
	for after := trimmed; len(old) > 0; {
		head, records, err := k.readRecords(k.ctx, key, after, scanRecord)
		if err != nil || head.Life != life {
			return err
		}
		for _, r := range records {
			for digest := range old {
				if bytes.Contains(r.Data, []byte(digest)) {
					delete(old, digest)
				}
			}
			after = r.Seq
		}
		if len(records) == 0 {
			break
		}
	}
	for _, b := range old {
		ctx, cancel := k.opCtx()
		err := k.store.DropBlob(ctx, key, life, b)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
