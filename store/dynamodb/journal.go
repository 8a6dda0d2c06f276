package dynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Attributes of records.
const (
	seqAttr  = "seq"
	ridAttr  = "rid"
	prevAttr = "prev"
)

// Append adds rec after at; see session.Journal and the package's description.
func (s *Store) Append(ctx context.Context, key session.Key, at session.Position, rec session.Record, next session.Attention) error {
	const op = "dynamodb.Append"
	if !follows(rec, at) {
		return writeErr(op, &failure{
			unsent: true, kind: fault.Internal,
			msg: "the record does not follow its position",
		})
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return writeErr(op, err)
	}
	defer end()
	pk := partition(key)
	if at == (session.Position{}) {
		if err := s.notForeign(ctx, key); err != nil {
			return writeErr(op, neverSent(err))
		}
	}
	if err := s.putRecord(ctx, key, pk, at, rec); err != nil {
		return writeErr(op, neverSent(err)) // the head was not touched and will not be
	}
	if err := ctx.Err(); err != nil {
		return writeErr(op, refused(fault.KindOf(err), err))
	}
	_, err = call(ctx, s, ifRefused, (*dynamodb.Client).UpdateItem, s.move(key, pk, at, rec, next))
	if f := asFailure(err); err != nil && f.conflict {
		s.dropOrphan(ctx, key, pk, rec, f.was)
	}
	return writeErr(op, err)
}

// follows reports that rec is the record after at: the next number of the same life, or the first of the next life.
func follows(rec session.Record, at session.Position) bool {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	return rec.ID != "" && rec.Life == life && rec.Seq == at.Len+1
}

// putRecord writes what the head will then lead to. Nothing does yet.
func (s *Store) putRecord(ctx context.Context, key session.Key, pk string, p session.Position, rec session.Record) error {
	attrs := item{seqAttr: num(rec.Seq), ridAttr: str(rec.ID)}
	if p.LastID != "" {
		attrs[prevAttr] = str(p.LastID)
	}
	items := content(pk, recordAt(rec.Life, rec.Seq)+rec.ID, rec.Data, attrs)
	listed := true
	if p.Len == 0 {
		items = append(items, at(directory(key.Tenant), entry(key.ID, rec.Life)))
		s.mu.Lock()
		_, listed = s.known[key.Tenant]
		s.mu.Unlock()
		if !listed {
			items = append(items, at(tenants, "t#"+key.Tenant))
		}
	}
	if err := s.put(ctx, putting(items...)); err != nil {
		return err
	}
	if !listed {
		s.mu.Lock()
		s.known[key.Tenant] = struct{}{}
		s.mu.Unlock()
	}
	return nil
}

// move is the update that moves the head from p behind rec.
func (s *Store) move(key session.Key, pk string, p session.Position, rec session.Record, next session.Attention) *dynamodb.UpdateItemInput {
	c := newChange()
	c.is(p)
	c.sets(lifeAttr, num(rec.Life))
	c.sets(lenAttr, num(rec.Seq))
	c.sets(lastAttr, str(rec.ID))
	c.sets(updatedAttr, num(now()))
	c.setsOr(ownerAttr, next.Owner != "", str(next.Owner))
	c.setsOr(epochAttr, next.Epoch != 0, num(next.Epoch))
	c.setsOr(expiryAttr, next.Expiry != 0, num(next.Expiry))
	c.setsOr(dueName, next.Due != 0, num(next.Due))
	c.setsOr(agendaName, next.Due != 0, str(agenda(pk, next.Owner)))
	if p.Len == 0 {
		c.setsOr(tenantAttr, key.Tenant != "", str(key.Tenant))
		c.sets(idAttr, str(key.ID))
		c.removes(firstAttr, snapAttr, snapNameAttr, untilAttr, tombAttr, tombNameAttr, unsweptAttr, ttlName)
	}
	return c.update(s.table, pk, headKey)
}

// dropOrphan deletes the item of a record that was not appended, if the head proves that nothing leads to it and nothing
// ever will. It only saves space, so errors do not matter.
func (s *Store) dropOrphan(ctx context.Context, key session.Key, pk string, rec session.Record, was item) {
	if was == nil {
		was, _ = s.get(ctx, pk, headKey)
	}
	h, err := readHead(key, was)
	if err != nil || !h.there {
		return
	}
	over := h.Life > rec.Life || h.Life == rec.Life && h.Len == 0 // that life is over
	if !over && !(h.Life == rec.Life && h.Len == rec.Seq && h.LastID != rec.ID) {
		return
	}
	name := recordAt(rec.Life, rec.Seq) + rec.ID
	var gone []item
	for _, i := range content(pk, name, rec.Data, nil) {
		gone = append(gone, i)
	}
	if over && rec.Seq == 1 {
		gone = append(gone, at(directory(key.Tenant), entry(key.ID, rec.Life)))
	}
	_ = s.put(ctx, deleting(gone))
}

// Heads returns the head of each key; see session.Journal.
func (s *Store) Heads(ctx context.Context, keys []session.Key) ([]session.Head, error) {
	const op = "dynamodb.Heads"
	given := ctx
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return make([]session.Head, len(keys)), readErr(given, op, err)
	}
	defer end()
	found, err := s.heads(ctx, keys)
	out := make([]session.Head, len(keys))
	for i, k := range keys {
		if h, ok := found[k]; ok {
			out[i] = h.clone()
		}
	}
	return out, readErr(given, op, err)
}

// heads reads many heads. With an error come those that were had.
func (s *Store) heads(ctx context.Context, keys []session.Key) (map[session.Key]head, error) {
	names := make(map[string]session.Key, len(keys))
	var ask []item
	for _, k := range keys {
		pk := partition(k)
		if _, ok := names[pk]; !ok {
			names[pk] = k
			ask = append(ask, at(pk, headKey))
		}
	}
	items, failed := s.getAll(ctx, ask)
	out := make(map[session.Key]head, len(names))
	read := func(key session.Key, i item) {
		h, err := s.complete(ctx, key, i)
		if err != nil {
			failed = err
			return
		}
		out[key] = h
	}
	for _, i := range items {
		pk := (&holder{item: i}).str(partitionName)
		read(names[pk], i)
		delete(names, pk)
	}
	if failed == nil { // then those that are left have none
		for _, key := range names {
			read(key, nil)
		}
	}
	return out, failed
}

// clone is the head as callers see it, and may change it.
func (h head) clone() session.Head {
	out := h.Head
	if h.Tomb != nil {
		t := *h.Tomb
		t.Keys = append([]string(nil), t.Keys...)
		out.Tomb = &t
	}
	return out
}
