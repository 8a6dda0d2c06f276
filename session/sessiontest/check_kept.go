package sessiontest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/session"
)

var keptChecks = []check{
	{name: "the newest snapshot wins", run: checkSnapshots},
	{name: "a snapshot of another life is refused", run: checkSnapshotLife},
	{name: "a trim removes only what the snapshot covers, and never the last record", run: checkTrim},
	{name: "a trim of another life removes nothing", run: checkTrimLife},
	{name: "blobs are kept by session, life and digest", run: checkBlobs},
	{name: "a blob may come before the first record of its life", run: checkBlobFirst},
	{name: "blobs are listed with their size and time, and putting one again moves its time", run: checkBlobList},
	{name: "only the blob that was listed is dropped", run: checkDropBlob},
}

func (r *run) wantSnapshot(key session.Key, life, seq uint64, data string, when string) {
	got, err := r.s.Snapshot(r.ctx, key)
	r.want(err == nil && got.Life == life && got.Seq == seq && string(got.Data) == data,
		"%s: the snapshot is %d.%d %q, %v, want %d.%d %q", when, got.Life, got.Seq, got.Data, err, life, seq, data)
}

func checkSnapshots(r *run) {
	key := id("a")
	_, err := r.s.Snapshot(r.ctx, key)
	r.wantErr(err, session.ErrNoValue, "snapshot of an unused session")
	r.grow(key, session.Position{}, 5, session.Attention{})
	_, err = r.s.Snapshot(r.ctx, key)
	r.wantErr(err, session.ErrNoValue, "snapshot before one was put")
	put := func(seq uint64, data string) {
		r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: 1, Seq: seq, Data: []byte(data)}), "put snapshot %d", seq)
	}
	put(2, "two")
	r.wantSnapshot(key, 1, 2, "two", "the only one")
	put(4, "four")
	r.wantSnapshot(key, 1, 4, "four", "after a newer one")
	put(3, "three")
	r.wantSnapshot(key, 1, 4, "four", "after an older one")
	put(4, "four again")
	r.wantSnapshot(key, 1, 4, "four again", "after one that is as new")
	large := pattern(1 << 20)
	put(5, string(large))
	r.wantSnapshot(key, 1, 5, string(large), "a large one")
	_, err = r.s.Snapshot(r.ctx, session.Key{Tenant: "t", ID: "a"})
	r.wantErr(err, session.ErrNoValue, "snapshot of another tenant's session")
}

func checkSnapshotLife(r *run) {
	key := id("a")
	refuse := func(life uint64, when string) {
		err := r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: life, Seq: 1, Data: []byte("old")})
		r.wantErr(err, session.ErrConflict, "put a snapshot of life %d %s", life, when)
		_, err = r.s.Snapshot(r.ctx, key)
		r.wantErr(err, session.ErrNoValue, "snapshot after a refused one %s", when)
	}
	refuse(1, "of an unused session")
	at, _ := r.grow(key, session.Position{}, 2, session.Attention{})
	refuse(2, "in life 1")
	refuse(0, "in life 1")
	at = r.erased(key, at)
	refuse(1, "after the erase")
	refuse(2, "after the erase")
	r.grow(key, at, 2, session.Attention{})
	refuse(1, "in life 2")
	r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: 2, Seq: 1, Data: []byte("new")}), "put a snapshot of life 2 in life 2")
	r.wantSnapshot(key, 2, 1, "new", "in life 2")
}

func checkTrim(r *run) {
	key := id("a")
	at, all := r.grow(key, session.Position{}, 6, session.Attention{})
	trim := func(upTo uint64, first uint64, when string) {
		r.need(r.s.Trim(r.ctx, key, 1, upTo), "trim up to %d %s", upTo, when)
		for after := range uint64(len(all)) {
			_, got, err := r.s.Read(r.ctx, key, after, 0)
			if after+1 < first {
				r.wantErr(err, session.ErrTrimmed, "read after %d when %d is the first record left, %s", after, first, when)
				r.want(len(got) == 0, "read after %d returned %s beside ErrTrimmed", after, list(got))
				continue
			}
			r.want(err == nil && sameRecords(got, all[after:]), "read after %d %s: %s, %v, want %s", after, when, list(got), err, list(all[after:]))
		}
		r.wantHead(r.s, key, at, session.Attention{}, when)
	}
	trim(6, 1, "without a snapshot")
	r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: 1, Seq: 3, Data: []byte("s")}), "put snapshot 3")
	trim(1, 2, "below the snapshot")
	trim(0, 2, "up to 0")
	trim(6, 4, "beyond the snapshot")
	r.need(r.s.PutSnapshot(r.ctx, key, session.Snapshot{Life: 1, Seq: 6, Data: []byte("s")}), "put snapshot 6")
	trim(5, 6, "up to the last but one")
	trim(6, 6, "up to the last")
	trim(1<<40, 6, "far beyond the last")
	_, err := r.s.Snapshot(r.ctx, key)
	r.want(err == nil, "the snapshot went with the records: %v", err)
	at, more := r.grow(key, at, 2, session.Attention{})
	all = append(all, more...)
	trim(0, 6, "after more appends")
	_, got, err := r.s.Read(r.ctx, key, 0, 1)
	r.wantErr(err, session.ErrTrimmed, "read of one page from the beginning (got %s)", list(got))
}

func checkTrimLife(r *run) {
	key := id("a")
	at, _ := r.grow(key, session.Position{}, 2, session.Attention{})
	at, all := r.furnish(key, r.erased(key, at), session.Attention{})
	for _, life := range []uint64{0, 1, 3} {
		err := r.s.Trim(r.ctx, key, life, 2)
		r.want(err == nil || isConflict(err), "trim of life %d: %v", life, err)
		r.wantFurnished(r.s, key, all, session.Attention{}, "after a trim of another life")
	}
	r.need(r.s.Trim(r.ctx, id("unused"), 1, 5), "trim of an unused session")
	r.want(at.Life == 2, "the life is %d", at.Life)
}

func (r *run) wantBlob(key session.Key, life uint64, digest string, want []byte) {
	got, err := r.s.Blob(r.ctx, key, life, digest)
	r.want(err == nil && bytes.Equal(got, want), "blob %q of %s in life %d: %d bytes, %v, want %d bytes", digest, key, life, len(got), err, len(want))
}

func checkBlobs(r *run) {
	key, other := id("a"), session.Key{Tenant: "t", ID: "a"}
	_, err := r.s.Blob(r.ctx, key, 1, "d")
	r.wantErr(err, session.ErrNoValue, "blob of an unused session")
	r.grow(key, session.Position{}, 1, session.Attention{})
	r.grow(other, session.Position{}, 1, session.Attention{})
	sizes := map[string][]byte{"sha256:empty": {}, "sha256:one": {7}, "sha256:big": pattern(3 << 20)}
	for digest, data := range sizes {
		r.need(r.s.PutBlob(r.ctx, key, 1, digest, data), "put a blob of %d bytes", len(data))
		r.need(r.s.PutBlob(r.ctx, key, 1, digest, data), "put the same blob again")
	}
	r.need(r.s.PutBlob(r.ctx, other, 1, "sha256:one", []byte("other")), "put a blob in another tenant's session")
	for digest, data := range sizes {
		r.wantBlob(key, 1, digest, data)
	}
	r.wantBlob(other, 1, "sha256:one", []byte("other"))
	for _, c := range []struct {
		key    session.Key
		life   uint64
		digest string
	}{{key, 2, "sha256:one"}, {key, 0, "sha256:one"}, {key, 1, "sha256:two"}, {other, 1, "sha256:big"}, {id("b"), 1, "sha256:one"}} {
		_, err := r.s.Blob(r.ctx, c.key, c.life, c.digest)
		r.wantErr(err, session.ErrNoValue, "blob %q of %s in life %d", c.digest, c.key, c.life)
	}
}

func checkBlobFirst(r *run) {
	key := id("a")
	r.need(r.s.PutBlob(r.ctx, key, 1, "d", []byte("one")), "put a blob before the first record")
	r.wantHead(r.s, key, session.Position{}, session.Attention{}, "after a blob before the first record")
	at, _ := r.grow(key, session.Position{}, 1, session.Attention{})
	r.wantBlob(key, 1, "d", []byte("one"))
	at = r.erased(key, at)
	r.need(r.s.PutBlob(r.ctx, key, 2, "d", []byte("two")), "put a blob of the next life after an erase")
	r.wantErased(r.s, key, 1, "after a blob of the next life")
	r.grow(key, at, 1, session.Attention{})
	r.wantBlob(key, 2, "d", []byte("two"))
	_, err := r.s.Blob(r.ctx, key, 1, "d")
	r.wantErr(err, session.ErrNoValue, "blob of the erased life")
}

// blobs lists the blobs of a life as "digest:size".
func (r *run) blobs(key session.Key, life uint64) (string, []session.BlobInfo) {
	all, err := r.s.BlobList(r.ctx, key, life)
	r.need(err, "BlobList of %s", key)
	out := make([]string, len(all))
	for i, b := range all {
		out[i] = fmt.Sprintf("%s:%d", b.Digest, b.Size)
	}
	return strings.Join(out, " "), all
}

func (r *run) wantBlobs(key session.Key, life uint64, want, when string) []session.BlobInfo {
	got, all := r.blobs(key, life)
	r.want(got == want, "%s: blobs of %s in life %d are [%s], want [%s]", when, key, life, got, want)
	return all
}

// again puts a blob again until its time moves.
func (r *run) again(key session.Key, life uint64, digest string, data []byte, was session.BlobInfo) {
	for r.ctx.Err() == nil {
		r.need(r.s.PutBlob(r.ctx, key, life, digest, data), "put blob %s again", digest)
		_, all := r.blobs(key, life)
		if i := slices.IndexFunc(all, func(b session.BlobInfo) bool { return b.Digest == digest && b.Written > was.Written }); i >= 0 {
			return
		}
		if time.Since(time.UnixMilli(int64(was.Written))) > 10*time.Second {
			break
		}
	}
	r.want(false, "putting blob %s again does not move its time", digest)
}

func checkBlobList(r *run) {
	key, other := id("a"), session.Key{Tenant: "t", ID: "a"}
	r.wantBlobs(key, 1, "", "of an unused session")
	began := time.Now().Add(-time.Minute)
	r.need(r.s.PutBlob(r.ctx, key, 1, "d2", pattern(1<<20)), "put a blob")
	r.need(r.s.PutBlob(r.ctx, key, 1, "d1", nil), "put an empty blob")
	r.need(r.s.PutBlob(r.ctx, other, 1, "d3", []byte("x")), "put a blob in another tenant's session")
	all := r.wantBlobs(key, 1, fmt.Sprintf("d1:0 d2:%d", 1<<20), "before the first record")
	for _, b := range all {
		at := time.UnixMilli(int64(b.Written))
		r.want(at.After(began) && at.Before(time.Now().Add(time.Minute)), "blob %s was written at %s, it is %s", b.Digest, at, time.Now())
	}
	at, _ := r.grow(key, session.Position{}, 1, session.Attention{})
	if len(all) == 2 {
		r.again(key, 1, "d2", pattern(1<<20), all[1])
	}
	r.wantBlob(key, 1, "d2", pattern(1<<20))
	r.wantBlobs(key, 2, "", "of another life")
	r.erased(key, at)
	r.wantBlobs(key, 1, "", "after the erase")
	r.wantBlobs(other, 1, "d3:1", "after another session's erase")
}

func checkDropBlob(r *run) {
	key, other := id("a"), session.Key{Tenant: "t", ID: "a"}
	for _, k := range []session.Key{key, other} {
		r.grow(k, session.Position{}, 1, session.Attention{})
		for _, d := range []string{"d1", "d2"} {
			r.need(r.s.PutBlob(r.ctx, k, 1, d, pattern(600<<10)), "put a blob")
		}
	}
	all := r.wantBlobs(key, 1, "d1:614400 d2:614400", "before a drop")
	drop := func(life uint64, b session.BlobInfo, want, when string) {
		err := r.s.DropBlob(r.ctx, key, life, b)
		r.want(err == nil || isConflict(err) && life != 1, "drop of blob %s %s: %v", b.Digest, when, err)
		r.wantBlobs(key, 1, want, "after a drop "+when)
		r.wantBlobs(other, 1, "d1:614400 d2:614400", "after a drop in another tenant's session")
	}
	drop(1, session.BlobInfo{Digest: "none", Written: all[0].Written}, "d1:614400 d2:614400", "of what is not there")
	drop(2, all[0], "d1:614400 d2:614400", "in another life")
	drop(1, all[0], "d2:614400", "as it was listed")
	_, err := r.s.Blob(r.ctx, key, 1, "d1")
	r.wantErr(err, session.ErrNoValue, "a dropped blob")
	r.wantBlob(key, 1, "d2", pattern(600<<10))
	r.again(key, 1, "d2", pattern(600<<10), all[1])
	drop(1, all[1], "d2:614400", "of one that was put again")
	r.wantBlob(key, 1, "d2", pattern(600<<10))
	r.need(r.s.PutBlob(r.ctx, key, 1, "d1", []byte("new")), "put a dropped blob again")
	r.wantBlob(key, 1, "d1", []byte("new"))
}
