package dynamodb

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Attributes of a blob's item.
const (
	sizeAttr    = "size"
	writtenAttr = "written"
	contentAttr = "content_at" // where the content of a large one is
)

// smallBlob is how many bytes stand in the blob's own item. Listing reads those items, so they stay small.
const smallBlob = 4 << 10

func blobAt(life uint64, digest string) string { return inLife(life, "b") + digest }

// takes reports that a session may be given blobs of that life: its own, or the one that its next record begins.
func (h head) takes(life uint64) bool {
	if h.Len == 0 {
		return life == h.Life+1
	}
	return life == h.Life
}

// PutBlob keeps data under its digest; see session.Blobs. No condition can span the head and the blob, so the head is
// looked at before and after: an erase in between takes the blob with it, or this does.
func (s *Store) PutBlob(ctx context.Context, key session.Key, life uint64, digest string, data []byte) error {
	const op = "dynamodb.PutBlob"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	h, err := s.head(ctx, key)
	if err != nil {
		return writeErr(op, neverSent(err))
	}
	if !h.takes(life) {
		return conflict(op)
	}
	pk := partition(key)
	if err := s.putBlob(ctx, pk, blobAt(life, digest), life, data); err != nil {
		return writeErr(op, err)
	}
	h, err = s.head(ctx, key)
	if err == nil && !h.takes(life) {
		err = s.dropBlob(ctx, pk, blobAt(life, digest), 0)
		if err == nil {
			return conflict(op)
		}
	}
	if err != nil {
		f := *asFailure(err)
		f.unsent, f.conflict = false, false
		return writeErr(op, &f)
	}
	return nil
}

// putBlob moves the time of a blob that is there, or puts it.
func (s *Store) putBlob(ctx context.Context, pk, name string, life uint64, data []byte) error {
	for range conflictsHere {
		old, err := s.get(ctx, pk, name)
		if err != nil {
			return neverSent(err)
		}
		written := now()
		if old != nil {
			was := (&holder{item: old}).millis(writtenAttr)
			written = max(written, was+1) // so that whoever saw it before can tell
			c := newChange()
			c.sets(writtenAttr, num(written))
			c.iff(c.name(writtenAttr) + " = " + c.value("was", num(was)))
			_, err = call(ctx, s, ifRefused, (*dynamodb.Client).UpdateItem, c.update(s.table, pk, name))
		} else {
			err = s.newBlob(ctx, pk, name, life, data, written)
		}
		if err == nil || !asFailure(err).conflict {
			return err
		}
	}
	return &failure{unsent: true, kind: fault.Unavailable, msg: "the blob changes faster than it can be put"}
}

func (s *Store) newBlob(ctx context.Context, pk, name string, life uint64, data []byte, written session.Millis) error {
	blob := at(pk, name)
	blob[sizeAttr], blob[writtenAttr] = num(len(data)), num(written)
	where := ""
	if len(data) <= smallBlob {
		if len(data) > 0 {
			blob[dataAttr] = bin(bytes.Clone(data))
		}
	} else {
		where = inLife(life, "c") + nonce()
		blob[contentAttr] = str(where)
		if err := s.put(ctx, putting(content(pk, where, data, nil)...)); err != nil {
			return neverSent(err) // nothing leads to it
		}
	}
	c := newChange()
	c.iff("attribute_not_exists(" + c.name(sortName) + ")")
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).PutItem, &dynamodb.PutItemInput{
		TableName: &s.table, Item: blob, ConditionExpression: &c.condition, ExpressionAttributeNames: c.names,
	})
	if err != nil && where != "" && asFailure(err).unsent {
		_ = s.removeValue(ctx, pk, where)
	}
	return err
}

// dropBlob deletes a blob, if it was last put at that time, 0 for any.
func (s *Store) dropBlob(ctx context.Context, pk, name string, written session.Millis) error {
	in := &dynamodb.DeleteItemInput{TableName: &s.table, Key: at(pk, name), ReturnValues: types.ReturnValueAllOld}
	if written != 0 {
		c := newChange()
		c.iff(c.name(writtenAttr) + " = " + c.value("written", num(written)))
		in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues = &c.condition, c.names, c.values
	}
	out, err := call(ctx, s, ifRefused, (*dynamodb.Client).DeleteItem, in)
	if err != nil {
		if asFailure(err).conflict {
			return nil // put again, or not there
		}
		return err
	}
	if where := (&holder{item: out.Attributes}).str(contentAttr); where != "" {
		if err := s.removeValue(ctx, pk, where); err != nil {
			f := *asFailure(err)
			f.unsent = false
			return &f
		}
	}
	return nil
}

// Blob returns what PutBlob kept; see session.Blobs.
func (s *Store) Blob(ctx context.Context, key session.Key, life uint64, digest string) ([]byte, error) {
	const op = "dynamodb.Blob"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	pk, missed := partition(key), ""
	for range conflictsHere {
		both, err := s.getAll(ctx, []item{at(pk, headKey), at(pk, blobAt(life, digest))})
		if err != nil {
			return nil, readErr(given, op, err)
		}
		h, blob := head{}, holder{}
		for _, i := range both {
			if sortKey(i) != headKey {
				blob.item = i
			} else if h, err = readHead(key, i); err != nil {
				return nil, readErr(given, op, err)
			}
		}
		if blob.item == nil || !h.takes(life) {
			return nil, noValue(op)
		}
		where := blob.str(contentAttr)
		if where == "" {
			return append([]byte{}, blob.bytes(dataAttr)...), nil
		}
		if where == missed {
			return nil, readErr(given, op, corrupt("the content of a blob of session %s is missing", key))
		}
		data, whole, err := s.value(ctx, pk, where)
		if err != nil {
			return nil, readErr(given, op, err)
		}
		if whole {
			return bytes.Clone(data), nil
		}
		missed = where // dropped since, or lost
	}
	return nil, &fault.Error{Op: op, Kind: fault.Unavailable, Msg: "the blob changes faster than it can be read"}
}

// BlobList lists the blobs of one life; see session.Blobs.
func (s *Store) BlobList(ctx context.Context, key session.Key, life uint64) ([]session.BlobInfo, error) {
	const op = "dynamodb.BlobList"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, readErr(given, op, err)
	}
	defer end()
	// An erase that is under way has not deleted all of them yet.
	h, err := s.head(ctx, key)
	if err != nil || !h.takes(life) {
		return nil, readErr(given, op, err)
	}
	prefix := inLife(life, "b")
	items, err := s.all(ctx, between{pk: partition(key), from: prefix, to: prefix + last})
	if err != nil {
		return nil, readErr(given, op, err)
	}
	var out []session.BlobInfo
	for _, i := range items {
		a := holder{item: i}
		out = append(out, session.BlobInfo{Digest: sortKey(i)[len(prefix):], Size: int64(a.uint(sizeAttr)), Written: a.millis(writtenAttr)})
	}
	return out, nil
}

// DropBlob deletes a blob that was not put again; see session.Blobs.
func (s *Store) DropBlob(ctx context.Context, key session.Key, life uint64, b session.BlobInfo) error {
	const op = "dynamodb.DropBlob"
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	if b.Written == 0 {
		return nil // no blob was ever written then
	}
	return writeErr(op, s.dropBlob(ctx, partition(key), blobAt(life, b.Digest), b.Written))
}
