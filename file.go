package agentkernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"mime"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Files that a request brings are stored before the record that names them, under the digest of their bytes: a crash in
// between leaves bytes that nothing names, which are collected, and never a name without its bytes. They belong to one
// life of the session; when that ended before the request was accepted, they are stored again.

const (
	maxFiles     = 64       // of one request; servers allow fewer
	maxFileBytes = 64 << 20 // of one file; servers allow less
)

// sealed is a file as the journal keeps it.
func sealed(f model.File) model.File {
	sum := sha256.Sum256(f.Data)
	return model.File{Name: f.Name, MediaType: f.MediaType, Size: int64(len(f.Data)), Digest: hex.EncodeToString(sum[:])}
}

// checkFiles reports what is wrong with a request's files.
func checkFiles(files []model.File) error {
	if len(files) > maxFiles {
		return fault.New(fault.TooLarge, "", "the request has %d files, %d are allowed", len(files), maxFiles)
	}
	for i, f := range files {
		media, _, err := mime.ParseMediaType(f.MediaType)
		switch {
		case len(f.Data) == 0:
			return fault.New(fault.BadRequest, "", "file %d (%.100q) is empty", i+1, f.Name)
		case len(f.Data) > maxFileBytes:
			return fault.New(fault.TooLarge, "", "file %d (%.100q) has %d bytes, %d are allowed", i+1, f.Name, len(f.Data), maxFileBytes)
		case err != nil || media == "":
			return fault.New(fault.BadRequest, "", "file %d (%.100q) has media type %.100q, which is none", i+1, f.Name, f.MediaType)
		case len(f.Name) > maxKey:
			return fault.New(fault.BadRequest, "", "the name of file %d has %d bytes, %d are allowed", i+1, len(f.Name), maxKey)
		}
	}
	return nil
}

// acceptFiles is accept for a request with files.
func (k *Kernel) acceptFiles(ctx context.Context, key session.Key, a *asking, req Request) (*Handle, error) {
	for range 3 {
		if err := k.storeFiles(ctx, key, a, req.Files); err != nil {
			return nil, err
		}
		h, err := k.accept(ctx, key, a)
		if !errors.Is(err, errOtherLife) {
			return h, err
		}
	}
	return nil, fault.New(fault.Unavailable, "", "the session is erased again and again").WithAfter(retryStore)
}

// roomForFiles refuses files that would take a session over its bound. Requests that come in at the same moment are each
// measured without the others.
func (k *Kernel) roomForFiles(ctx context.Context, key session.Key, life uint64, files []model.File) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	stored, err := k.store.BlobList(ctx, key, life)
	if err != nil {
		return fault.New(kindOfStore(err), "", "it is not known what the session holds: %w", err).WithAfter(time.Second)
	}
	has := map[string]int64{}
	for _, b := range stored {
		has[b.Digest] = b.Size
	}
	for _, f := range files {
		has[sealed(f).Digest] = int64(len(f.Data))
	}
	var sum int64
	for _, size := range has {
		sum += size
	}
	if sum > k.cfg.SessionBytes {
		return fault.New(fault.TooLarge, "", "with these files the session would hold %d bytes, %d are allowed", sum, k.cfg.SessionBytes).
			WithTry("start another session, or send smaller files")
	}
	return nil
}

// storeFiles stores what the request names, in the session's present life.
func (k *Kernel) storeFiles(ctx context.Context, key session.Key, a *asking, files []model.File) error {
	j := k.open(key)
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return err
	}
	if err := j.view(func(s *session.Session) error {
		if a.life = s.At.Life; s.At.Len == 0 {
			a.life++
		}
		return nil
	}); err != nil {
		return err
	}
	if err := k.roomForFiles(ctx, key, a.life, files); err != nil {
		return err
	}
	for _, f := range files {
		if _, err := k.putBlob(ctx, key, a.life, f.Data); err != nil {
			return err
		}
	}
	return nil
}
