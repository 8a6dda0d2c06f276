package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// PutBlob keeps data under its digest; see session.Blobs. What is larger than one part is staged part by part, and becomes a
// blob with a last command; parts that were left behind go away when blobs are listed an hour later.
func (s *Store) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	const op = "redis.PutBlob"
	p, all, before := s.keys.place(key), parts(data), "none"
	if life > 0 {
		before = number(life - 1)
	}
	put := func(nonce, mode string, part int, data string) (string, error) {
		return s.write(ctx, op, verbPutBlob, []string{p.head, p.tomb, p.blobs, p.chunks},
			number(life), before, digest, strconv.Itoa(len(data)), strconv.Itoa(len(all)), nonce, mode, strconv.Itoa(part), data)
	}
	if len(all) == 1 {
		_, err := put(nonce(), "inline", 0, all[0])
		return err
	}
	for range tries {
		n := nonce()
		word, err := put(n, "touch", 0, "")
		if err != nil || word != "missing" {
			return err
		}
		for i, part := range all {
			if _, err := put(n, "stage", i, part); err != nil {
				return err
			}
		}
		word, err = s.write(ctx, op, verbPutBlob, []string{p.head, p.tomb, p.blobs, p.chunks},
			number(life), before, digest, strconv.Itoa(len(data)), strconv.Itoa(len(all)), n, "commit", "0", "")
		if err != nil || word != "missing" {
			return err
		}
	}
	return notSent(op, fault.New(fault.Unavailable, op, "the parts of the blob went away before it was whole, %d times", tries))
}

// Blob returns what PutBlob kept; see session.Blobs.
func (s *Store) Blob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	const op = "redis.Blob"
	p := s.keys.place(key)
	for range tries {
		data, mine := []byte{}, ""
		for i, count := 0, 1; i < count; i++ {
			word, reply, err := s.read(ctx, op, verbBlob, []string{p.blobs, p.chunks, p.fence}, number(life), digest, strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			if word == "none" {
				return nil, noValue(op)
			}
			f, ok := texts(reply)
			if !ok || len(f) != 3 {
				return nil, odd(op)
			}
			if i == 0 {
				mine = f[1]
				if count, err = strconv.Atoi(f[0]); err != nil || count < 1 {
					return nil, odd(op)
				}
			}
			if mine != f[1] {
				mine = "" // it was dropped and put again
				break
			}
			if reply[2] == nil {
				return nil, fault.New(fault.Corrupt, op, "part %d of the blob is missing", i)
			}
			data = append(data, f[2]...)
		}
		if mine != "" {
			return data, nil
		}
	}
	return nil, fault.New(fault.Unavailable, op, "the blob was replaced while it was read, %d times", tries)
}

// BlobList lists the blobs of one life; see session.Blobs.
func (s *Store) BlobList(ctx context.Context, key session.Key, life uint64) ([]session.BlobInfo, error) {
	const op = "redis.BlobList"
	p := s.keys.place(key)
	_, reply, err := s.read(ctx, op, verbBlobList, []string{p.blobs, p.chunks, p.fence}, number(life))
	if err != nil {
		return nil, err
	}
	var out []session.BlobInfo
	all, ok := texts(reply[0])
	for i := 0; i+1 < len(all); i += 2 {
		f := strings.Split(all[i+1], ":")
		if len(f) != 4 {
			return nil, odd(op)
		}
		n := numbers{}
		out = append(out, session.BlobInfo{Digest: all[i], Size: int64(n.millis(f[0])), Written: n.millis(f[1])})
		ok = ok && n.err == nil
	}
	if !ok {
		return nil, odd(op)
	}
	slices.SortFunc(out, func(a, b session.BlobInfo) int { return strings.Compare(a.Digest, b.Digest) })
	return out, nil
}

// DropBlob deletes a blob that was not put again; see session.Blobs.
func (s *Store) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	p := s.keys.place(key)
	_, err := s.write(ctx, "redis.DropBlob", verbDropBlob, []string{p.blobs, p.chunks}, number(life), b.Digest, millis(b.Written))
	return err
}
