package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// subject is a session, with everything that a session can have, that one verb is tried on.
type subject struct {
	t   *testing.T
	s   *Store // without faults
	key session.Key
	at  session.Position
	rec session.Record // the next one
	gen uint64
}

// large needs two items. The servers of tests take their time over bytes.
var large = bytes.Repeat([]byte("0123456789abcdef"), largest/16+1)

func newSubject(t *testing.T, s *Store, id string) *subject {
	t.Helper()
	u := &subject{t: t, s: s, key: session.Key{Tenant: "t", ID: id}}
	for range 3 {
		rec := record(u.at, []byte("content of "+id))
		u.must(s.Append(t.Context(), u.key, u.at, rec, session.Attention{Due: 7}))
		u.at = rec.Position()
	}
	u.must(s.PutSnapshot(t.Context(), u.key, session.Snapshot{Life: 1, Seq: 2, Data: []byte("two")}))
	u.must(s.PutBlob(t.Context(), u.key, 1, "small", []byte("small")))
	u.must(s.PutBlob(t.Context(), u.key, 1, "large", large[:5<<10]))
	u.must(s.Beat(t.Context(), session.Replica{ID: id, Counter: 1}))
	u.rec = record(u.at, []byte("next"))
	m, err := s.Meta(t.Context())
	u.must(err)
	u.gen = m.Generation
	return u
}

func (u *subject) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

// state is all that the store says, but for names and times that differ from run to run.
func (u *subject) state() string {
	u.t.Helper()
	ctx := u.t.Context()
	var out strings.Builder
	h, records, err := u.s.Read(ctx, u.key, 0, 0)
	if errors.Is(err, session.ErrTrimmed) {
		h, records, err = u.s.Read(ctx, u.key, 2, 0)
		fmt.Fprint(&out, "trimmed ")
	}
	u.must(err)
	fmt.Fprintf(&out, "life %d, %d records, due %d, tomb %v:", h.Life, h.Len, h.Due, h.Tomb != nil)
	for _, r := range records {
		fmt.Fprintf(&out, " %d (%d bytes)", r.Seq, len(r.Data))
	}
	snap, err := u.s.Snapshot(ctx, u.key)
	if !errors.Is(err, session.ErrNoValue) {
		u.must(err)
	}
	fmt.Fprintf(&out, "; snapshot %d (%d bytes); blobs", snap.Seq, len(snap.Data))
	blobs, err := u.s.BlobList(ctx, u.key, 1)
	u.must(err)
	for _, b := range blobs {
		data, err := u.s.Blob(ctx, u.key, 1, b.Digest)
		u.must(err)
		fmt.Fprintf(&out, " %s (%d of %d bytes)", b.Digest, len(data), b.Size)
	}
	replicas, err := u.s.Replicas(ctx)
	u.must(err)
	for _, r := range replicas {
		if r.ID == u.key.ID {
			fmt.Fprintf(&out, "; replica %d", r.Counter)
		}
	}
	hints, err := u.s.Hints(ctx, u.key.ID+"/")
	u.must(err)
	m, err := u.s.Meta(ctx)
	u.must(err)
	fmt.Fprintf(&out, "; %d hints; generation +%d", len(hints), m.Generation-u.gen)
	return out.String()
}

var verbs = []struct {
	name string
	do   func(ctx context.Context, s *Store, u *subject) error
}{
	{"append", func(ctx context.Context, s *Store, u *subject) error {
		return s.Append(ctx, u.key, u.at, u.rec, session.Attention{Owner: "r", Due: 9})
	}},
	{"append of two items", func(ctx context.Context, s *Store, u *subject) error {
		rec := u.rec
		rec.Data = large
		return s.Append(ctx, u.key, u.at, rec, session.Attention{})
	}},
	{"append that conflicts", func(ctx context.Context, s *Store, u *subject) error {
		rec := record(session.Position{Life: 1, Len: 2, LastID: "x"}, []byte("late"))
		return s.Append(ctx, u.key, session.Position{Life: 1, Len: 2, LastID: "x"}, rec, session.Attention{})
	}},
	{"erase", func(ctx context.Context, s *Store, u *subject) error {
		return s.Erase(ctx, u.key, u.at, session.Tombstone{Until: 1 << 42, Keys: []string{"k"}})
	}},
	{"erase with many keys", func(ctx context.Context, s *Store, u *subject) error {
		return s.Erase(ctx, u.key, u.at, session.Tombstone{Until: 1 << 42, Keys: []string{string(large)}})
	}},
	{"put a snapshot", func(ctx context.Context, s *Store, u *subject) error {
		return s.PutSnapshot(ctx, u.key, session.Snapshot{Life: 1, Seq: 3, Data: large})
	}},
	{"trim", func(ctx context.Context, s *Store, u *subject) error { return s.Trim(ctx, u.key, 1, 2) }},
	{"put a small blob", func(ctx context.Context, s *Store, u *subject) error {
		return s.PutBlob(ctx, u.key, 1, "new", []byte("new"))
	}},
	{"put a large blob", func(ctx context.Context, s *Store, u *subject) error { return s.PutBlob(ctx, u.key, 1, "new", large) }},
	{"put a blob again", func(ctx context.Context, s *Store, u *subject) error {
		return s.PutBlob(ctx, u.key, 1, "large", large[:5<<10])
	}},
	{"drop a blob", func(ctx context.Context, s *Store, u *subject) error {
		all, err := u.s.BlobList(u.t.Context(), u.key, 1)
		u.must(err)
		return s.DropBlob(ctx, u.key, 1, all[0])
	}},
	{"beat", func(ctx context.Context, s *Store, u *subject) error {
		return s.Beat(ctx, session.Replica{ID: u.key.ID, Counter: 2})
	}},
	{"leave", func(ctx context.Context, s *Store, u *subject) error { return s.Leave(ctx, u.key.ID) }},
	{"put a hint", func(ctx context.Context, s *Store, u *subject) error {
		return s.PutHint(ctx, session.Hint{Name: u.key.ID + "/h", Until: 1 << 42})
	}},
	{"raise the generation", func(ctx context.Context, s *Store, u *subject) error { return s.RaiseGeneration(ctx) }},
}

// troubles are what is done to one request; every makes it happen to all that follow, too.
var troubles = []struct {
	name  string
	every bool
	make  func() *trouble
}{
	{"throttled once", false, func() *trouble {
		return &trouble{err: &types.ThrottlingException{Message: aws.String("slow down")}}
	}},
	{"throttled for good", true, func() *trouble {
		return &trouble{err: &types.ProvisionedThroughputExceededException{Message: aws.String("slow down")}}
	}},
	{"lost on the way", false, func() *trouble { return &trouble{err: errLost} }},
	{"done, answer lost", false, func() *trouble { return &trouble{after: true, err: errLost} }},
	{"done, answer lost, then silence", true, func() *trouble { return &trouble{after: true, err: errLost} }},
	{"a server error", false, func() *trouble {
		return &trouble{err: &types.InternalServerError{Message: aws.String("sorry")}}
	}},
	{"done, then a server error", false, func() *trouble {
		return &trouble{after: true, err: &types.InternalServerError{Message: aws.String("sorry")}}
	}},
	{"done long after the caller gave up", false, func() *trouble {
		return &trouble{late: make(chan struct{}), done: make(chan struct{}), err: context.DeadlineExceeded}
	}},
}

func TestEveryFaultOfEveryRequestOfEveryWriteIsAnsweredForWhatItDid(t *testing.T) {
	cfg := place(t)
	for v, verb := range verbs {
		table := newTable(t, cfg)
		plain := open(t, table, cfg)
		u := newSubject(t, plain, fmt.Sprintf("clean%d", v))
		before := u.state()
		err := verb.do(t.Context(), plain, u)
		conflicts := errors.Is(err, session.ErrConflict)
		if err != nil && !conflicts {
			t.Fatalf("%s without faults: %v", verb.name, err)
		}
		after := u.state()
		for w, what := range troubles {
			t.Run(verb.name+", "+what.name, func(t *testing.T) {
				for n := 0; ; n++ {
					c := &faultCase{t: t, plain: plain, before: before, after: after, conflicts: conflicts}
					if !c.run(cfg, table, fmt.Sprintf("s%d.%d.%d", v, w, n), n, what.every, what.make(), verb.do) {
						if n == 0 {
							t.Error("no request was met by the fault")
						}
						return
					}
				}
			})
		}
	}
}

type faultCase struct {
	t             *testing.T
	plain         *Store
	before, after string
	conflicts     bool
}

// run does one verb with trouble at its request n, and reports false when it has no such request.
func (c *faultCase) run(cfg Config, table, id string, n int, every bool, what *trouble, do func(context.Context, *Store, *subject) error) bool {
	t := c.t
	p := &tap{}
	s := open(t, table, with(cfg, p.option()))
	u := newSubject(t, c.plain, id)
	if _, err := s.Meta(t.Context()); err != nil {
		t.Fatal(err)
	}
	met := false
	p.reset(func(i int, _ string, _ any) *trouble {
		if i == n || every && i > n {
			met = true
			return what
		}
		return nil
	})
	err := do(t.Context(), s, u)
	p.reset(nil)
	if !met {
		return false
	}
	c.judge(u, n, err)
	if what.late != nil {
		close(what.late)
		<-what.done
		c.judge(u, n, err)
	}
	if c.after != c.before && u.state() == c.after && strings.Contains(c.after, "tomb true") {
		if err := c.plain.tidyNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found := holding(t, c.plain, id); len(found) > 0 && what.late == nil {
			t.Errorf("request %d: after the erase (%v) there is still %v", n, err, found)
		}
	}
	return true
}

func (c *faultCase) judge(u *subject, n int, err error) {
	c.t.Helper()
	got := u.state()
	switch {
	case err == nil && !c.conflicts:
		if got != c.after {
			c.t.Errorf("request %d: success, and the state is\n%s, want\n%s", n, got, c.after)
		}
	case errors.Is(err, session.ErrConflict):
		if got != c.before || !c.conflicts {
			c.t.Errorf("request %d: a conflict, and the state is\n%s, was\n%s", n, got, c.before)
		}
	case errors.Is(err, session.ErrNotSent):
		if got != c.before {
			c.t.Errorf("request %d: not sent (%v), and the state is\n%s, was\n%s", n, err, got, c.before)
		}
	case err == nil || fault.KindOf(err) != fault.OutcomeUnknown:
		c.t.Errorf("request %d: %v of kind %s, want not sent, a conflict or an unknown outcome", n, err, fault.KindOf(err))
	case got != c.before && got != c.after:
		c.t.Errorf("request %d: %v, and the state is half done:\n%s, was\n%s, becomes\n%s", n, err, got, c.before, c.after)
	}
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, errors.Unwrap(err)), canary) {
		c.t.Errorf("the secret key is in %v", err)
	}
}

func TestARecordWhoseFirstAttemptSucceededUnseenIsNotTakenForAnOrphan(t *testing.T) {
	cfg := place(t)
	table := newTable(t, cfg)
	p := &tap{}
	plain, s := open(t, table, cfg), open(t, table, with(cfg, p.option()))
	u := newSubject(t, plain, "a")
	p.reset(func(_ int, op string, _ any) *trouble {
		if op == "UpdateItem" {
			return &trouble{after: true, err: errLost}
		}
		return nil
	})
	if err := s.Append(t.Context(), u.key, u.at, u.rec, session.Attention{}); fault.KindOf(err) != fault.OutcomeUnknown {
		t.Fatalf("an answer that was lost: %v", err)
	}
	p.reset(nil)
	check := func(when string, n int) {
		t.Helper()
		if err := s.Append(t.Context(), u.key, u.at, u.rec, session.Attention{}); !errors.Is(err, session.ErrConflict) {
			t.Errorf("%s: the same record again: %v", when, err)
		}
		_, records, err := plain.Read(t.Context(), u.key, 0, 0)
		if err != nil || len(records) != n || records[3].ID != u.rec.ID {
			t.Errorf("%s: %d records, %v", when, len(records), err)
		}
	}
	check("at the head", 4)
	next := record(u.rec.Position(), []byte("behind"))
	u.must(plain.Append(t.Context(), u.key, u.rec.Position(), next, session.Attention{}))
	check("with another one behind it", 5)
}
