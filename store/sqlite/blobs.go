package sqlite

import (
	"context"
	"database/sql"

	"github.com/agentkernel/agentkernel/session"
)

// blobPart is the most that one row holds of a blob, in bytes.
const blobPart = 256 << 10

// PutBlob keeps data under its digest; see session.Blobs. A life that is over is refused, so that nothing comes back
// after an erase.
func (s *Store) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	return s.write(ctx, "sqlite.PutBlob", func(c *conns) error {
		_, at, found, err := standing(c, key)
		if err != nil {
			return err
		}
		if found && life != at.Life || !found && life != at.Life+1 {
			return errConflict
		}
		const again = "UPDATE blobs SET written = ? WHERE tenant = ? AND id = ? AND life = ? AND digest = ?"
		if n, err := c.exec(again, now(), key.Tenant, key.ID, int64(life), digest); err != nil || n > 0 {
			return err
		}
		const put = "INSERT INTO blobs (tenant, id, life, digest, size, written) VALUES (?, ?, ?, ?, ?, ?)"
		if _, err := c.exec(put, key.Tenant, key.ID, int64(life), digest, len(data), now()); err != nil {
			return err
		}
		for part := 0; len(data) > 0; part++ {
			n := min(len(data), blobPart)
			const add = `INSERT INTO blob_parts (bid, part, data)
				SELECT bid, ?, ? FROM blobs WHERE tenant = ? AND id = ? AND life = ? AND digest = ?`
			if _, err := c.exec(add, part, data[:n], key.Tenant, key.ID, int64(life), digest); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	})
}

// Blob returns what PutBlob kept; see session.Blobs.
func (s *Store) Blob(ctx context.Context, key session.Key, life uint64, digest string) (data []byte, err error) {
	const op = "sqlite.Blob"
	err = s.view(ctx, op, func(r *reader) error {
		found := false
		err := r.query(readBlob, []any{key.Tenant, key.ID, int64(life), digest}, func(rows *sql.Rows) error {
			var part sql.RawBytes
			var size int64
			if err := rows.Scan(&size, &part); err != nil {
				return err
			}
			if !found {
				found, data = true, make([]byte, 0, size)
			}
			data = append(data, part...)
			return nil
		})
		if err == nil && !found {
			return noValue(op)
		}
		return err
	})
	return data, err
}

// BlobList lists the blobs of one life; see session.Blobs.
func (s *Store) BlobList(ctx context.Context, key session.Key, life uint64) (out []session.BlobInfo, err error) {
	err = s.view(ctx, "sqlite.BlobList", func(r *reader) error {
		return r.query(readBlobs, []any{key.Tenant, key.ID, int64(life)}, func(rows *sql.Rows) error {
			var b session.BlobInfo
			err := rows.Scan(&b.Digest, &b.Size, (*int64)(&b.Written))
			out = append(out, b)
			return err
		})
	})
	return out, err
}

// DropBlob deletes a blob that was not put again; see session.Blobs.
func (s *Store) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	return s.write(ctx, "sqlite.DropBlob", func(c *conns) error {
		return dropBlobs(c, "tenant = ? AND id = ? AND life = ? AND digest = ? AND written = ?", key.Tenant, key.ID, int64(life), b.Digest, int64(b.Written))
	})
}

// dropBlobs deletes the blobs that where selects.
func dropBlobs(c *conns, where string, args ...any) error {
	if _, err := c.exec("DELETE FROM blob_parts WHERE bid IN (SELECT bid FROM blobs WHERE "+where+")", args...); err != nil {
		return err
	}
	_, err := c.exec("DELETE FROM blobs WHERE "+where, args...)
	return err
}
