package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/session"
)

// blobPart is the most that one row holds of a blob, in bytes.
const blobPart = 1 << 20

// standing is where a session stands, as a transaction that holds its lock sees it.
type standing struct {
	sid  int64
	live bool // it has records; else it was erased or never used
	life uint64
	len  uint64
}

func (c *change) standing(key session.Key) (at standing, err error) {
	var life, length int64
	_, err = c.row(stPosition, []any{hashOf(key)}, &at.sid, &at.live, &life, &length)
	at.life, at.len = uint64(life), uint64(length)
	return at, err
}

// PutSnapshot keeps the newest snapshot; see session.Snapshots. One that covers records which the store does not have
// is refused like one of another life.
func (s *Store) PutSnapshot(ctx context.Context, key session.Key, snap session.Snapshot) error {
	return s.locked(ctx, "postgres.PutSnapshot", key, false, func(c *change) error {
		at, err := c.standing(key)
		if err != nil {
			return err
		}
		if !at.live || at.life != snap.Life || at.len < snap.Seq {
			return session.ErrConflict
		}
		_, err = c.exec(stPutSnapshot, at.sid, int64(snap.Seq), bytesOf(snap.Data))
		return err
	})
}

// Snapshot returns the newest snapshot; see session.Snapshots.
func (s *Store) Snapshot(ctx context.Context, key session.Key) (snap session.Snapshot, err error) {
	const op = "postgres.Snapshot"
	found := false
	err = s.query(ctx, op, stSnapshot, []any{hashOf(key)}, func(rows pgx.Rows) error {
		found = true
		var life, seq int64
		err := rows.Scan(&life, &seq, &snap.Data)
		snap.Life, snap.Seq = uint64(life), uint64(seq)
		return err
	})
	switch {
	case err != nil:
		return session.Snapshot{}, err
	case !found:
		return session.Snapshot{}, noValue(op)
	}
	return snap, nil
}

// Trim deletes records that the newest snapshot covers; see session.Snapshots.
func (s *Store) Trim(ctx context.Context, key session.Key, life, upTo uint64) error {
	return s.locked(ctx, "postgres.Trim", key, false, func(c *change) error {
		at, err := c.standing(key)
		if err != nil || !at.live || at.life != life {
			return err
		}
		_, err = c.exec(stTrim, at.sid, int64(min(upTo, at.len)), int64(at.len))
		return err
	})
}

// PutBlob keeps data under its digest; see session.Blobs. A life that is over is refused, so that nothing comes back
// after an erase.
func (s *Store) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	return s.locked(ctx, "postgres.PutBlob", key, false, func(c *change) error {
		at, err := c.standing(key)
		if err != nil {
			return err
		}
		if at.live && life != at.life || !at.live && life != at.life+1 {
			return session.ErrConflict
		}
		hash := hashOf(key)
		// Two that put the same blob at once take turns: the second waits at the row of the first, and then touches it.
		var bid int64
		found, err := c.row(stPutBlob, []any{hash, int64(life), digest, int64(len(data))}, &bid)
		if err != nil {
			return err
		}
		if !found {
			_, err := c.exec(stTouchBlob, hash, int64(life), digest)
			return err
		}
		for part := 0; len(data) > 0; part++ {
			n := min(len(data), blobPart)
			if _, err := c.exec(stPutPart, bid, part, data[:n]); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	})
}

// Blob returns what PutBlob kept; see session.Blobs.
func (s *Store) Blob(ctx context.Context, key session.Key, life uint64, digest string) (data []byte, err error) {
	const op = "postgres.Blob"
	found := false
	err = s.query(ctx, op, stBlob, []any{hashOf(key), int64(life), digest}, func(rows pgx.Rows) error {
		var part []byte
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
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, noValue(op)
	}
	return data, nil
}

// BlobList lists the blobs of one life; see session.Blobs.
func (s *Store) BlobList(ctx context.Context, key session.Key, life uint64) (out []session.BlobInfo, err error) {
	err = s.query(ctx, "postgres.BlobList", stBlobs, []any{hashOf(key), int64(life)}, func(rows pgx.Rows) error {
		var b session.BlobInfo
		err := rows.Scan(&b.Digest, &b.Size, (*int64)(&b.Written))
		out = append(out, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DropBlob deletes a blob that was not put again; see session.Blobs.
func (s *Store) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	_, err := s.exec(ctx, "postgres.DropBlob", stDropBlob, hashOf(key), int64(life), b.Digest, int64(b.Written))
	return err
}
