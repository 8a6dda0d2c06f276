package agentkernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/agentkernel/agentkernel/session"
)

func (k *Kernel) putBlob(ctx context.Context, key session.Key, life uint64, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	d := hex.EncodeToString(sum[:])
	return d, k.store.PutBlob(ctx, key, life, d, data)
}

func (k *Kernel) getBlob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	return k.store.Blob(ctx, key, life, digest)
}
