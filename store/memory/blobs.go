package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/agentkernel/agentkernel/session"
)

type blob struct {
	data    []byte
	written session.Millis
}

// PutBlob keeps data under its digest; see session.Blobs. A life that is over is refused, so that nothing comes back
// after an erase.
func (s *Store) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	const op = "memory.PutBlob"
	if err := s.enterWrite(ctx, op); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if head := s.head(key); head.Len > 0 && life != head.Life || head.Len == 0 && life != head.Life+1 {
		return conflict(op)
	}
	if s.blobs[key] == nil {
		s.blobs[key] = map[blobID]blob{}
	}
	id := blobID{life, digest}
	b, ok := s.blobs[key][id]
	if !ok {
		b.data = bytes.Clone(data)
	}
	b.written = now()
	s.blobs[key][id] = b
	return nil
}

// Blob returns what PutBlob kept; see session.Blobs.
func (s *Store) Blob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	const op = "memory.Blob"
	if err := s.enter(ctx, op); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	b, ok := s.blobs[key][blobID{life, digest}]
	if !ok {
		return nil, noValue(op)
	}
	return bytes.Clone(b.data), nil
}

// BlobList lists the blobs of one life; see session.Blobs.
func (s *Store) BlobList(ctx context.Context, key session.Key, life uint64) ([]session.BlobInfo, error) {
	if err := s.enter(ctx, "memory.BlobList"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []session.BlobInfo
	for id, b := range s.blobs[key] {
		if id.life == life {
			out = append(out, session.BlobInfo{Digest: id.digest, Size: int64(len(b.data)), Written: b.written})
		}
	}
	slices.SortFunc(out, func(a, b session.BlobInfo) int { return cmp.Compare(a.Digest, b.Digest) })
	return out, nil
}

// DropBlob deletes a blob that was not put again; see session.Blobs.
func (s *Store) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	if err := s.enterWrite(ctx, "memory.DropBlob"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	id := blobID{life, b.Digest}
	if kept, ok := s.blobs[key][id]; ok && kept.written == b.Written {
		delete(s.blobs[key], id)
	}
	return nil
}
