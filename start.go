package agentkernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Request asks for a turn.
type Request struct {
	Tenant  string          // empty where there is only one
	Session string          // empty starts a new one
	Agent   string          // empty is the first agent
	Prompt  string          // what the user says
	Files   []model.File    // images and documents; Data, MediaType and Name are read
	Extra   json.RawMessage // further fields of the request, an object; runners see them, models do not
	Key     string          // idempotency key: the same key and request is the same turn
}

const (
	maxKey    = 256     // bytes of an idempotency key
	maxPrompt = 1 << 20 // bytes of a prompt
)

// Start accepts a turn and returns as soon as it is durable. From then on it runs to its end, here or on another replica,
// whatever becomes of the caller. With an error of kind OutcomeUnknown comes a handle on the turn that may exist.
func (k *Kernel) Start(ctx context.Context, req Request) (*Handle, error) {
	agent, err := k.agent(req.Agent)
	if err != nil {
		return nil, err
	}
	key, accepted, err := k.prepare(req, agent)
	if err != nil {
		return nil, err
	}
	if err := k.refuseWhileDown(); err != nil {
		return nil, err
	}
	if k.phase.Load() != operational && !k.othersLive() {
		return nil, fault.New(fault.Unavailable, "", "this replica is leaving and there is no other").WithAfter(time.Second)
	}
	return k.accept(ctx, key, agent, accepted)
}

// refuseWhileDown refuses new work at once, before anything is sent, while the store is known not to answer: its last
// operation failed, and the lease, which every beat would renew, has run out.
func (k *Kernel) refuseWhileDown() error {
	trouble := k.storeErr.Load()
	if _, leased := k.leased(); leased || trouble == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "", "the store does not answer; nothing was written: %w", trouble.err).
		WithAfter(k.cfg.LeaseTTL / 3)
}

// prepare checks a request and makes of it what the journal keeps.
func (k *Kernel) prepare(req Request, agent *Agent) (session.Key, session.Request, error) {
	bad := func(format string, args ...any) (session.Key, session.Request, error) {
		return session.Key{}, session.Request{}, fault.New(fault.BadRequest, "", format, args...)
	}
	switch {
	case strings.TrimSpace(req.Prompt) == "":
		return bad("prompt is empty")
	case len(req.Prompt) > maxPrompt:
		return session.Key{}, session.Request{}, fault.New(fault.TooLarge, "", "prompt has %d bytes, %d are allowed", len(req.Prompt), maxPrompt)
	case !utf8.ValidString(req.Prompt):
		return bad("prompt is not valid UTF-8")
	case len(req.Key) > maxKey:
		return bad("the idempotency key has %d bytes, %d are allowed", len(req.Key), maxKey)
	}
	if req.Tenant != "" {
		if err := session.CheckID("tenant", req.Tenant); err != nil {
			return session.Key{}, session.Request{}, err
		}
	}
	id := req.Session
	switch {
	case id != "":
		if err := session.CheckID("session_id", id); err != nil {
			return session.Key{}, session.Request{}, err
		}
	case req.Key != "": // a repeated request must find the session that the first one made
		sum := sha256.Sum256([]byte(req.Tenant + "\x00" + req.Key))
		id = "s_" + hex.EncodeToString(sum[:10])
	default:
		id = newID("s")
	}
	a := session.Request{Agent: agent.Name, Input: mustJSON(model.UserText(req.Prompt)), Extra: req.Extra, Key: req.Key}
	if req.Key != "" {
		a.Digest = digest([]any{agent.Name, req.Prompt, req.Extra})
	}
	return session.Key{Tenant: req.Tenant, ID: id}, a, nil
}

// accept writes turn.accepted, with a claim if nobody owns the session, or finds the turn that the key belongs to.
func (k *Kernel) accept(ctx context.Context, key session.Key, agent *Agent, a session.Request) (*Handle, error) {
	j := k.open(key)
	defer j.unpin()
	var found session.TurnID // the turn that the key already belongs to
	var index int            // of the event that accepted the turn, in the record
	propose := func() (place, error) {
		return j.propose(ctx, &proposal{class: accepting, write: func(s *session.Session, d *draft) (events []session.Event, err error) {
			found, index, events, err = j.admit(s, d, agent, a)
			return events, err
		}})
	}
	place, err := propose()
	for errors.Is(err, errSameBatch) { // the other one is durable, or failed, when this one's turn comes
		place, err = propose()
	}
	if fault.KindOf(err) == fault.OutcomeUnknown && place.rec.ID != "" {
		return &Handle{k: k, key: key, id: session.MakeTurnID(key.ID, place.rec, index)}, err
	}
	if err != nil {
		return nil, err
	}
	if found.IsZero() {
		found = session.MakeTurnID(key.ID, place.rec, index)
		k.obs.TurnAccepted(agent.Name)
	}
	return &Handle{k: k, key: key, id: found}, nil
}

// admit decides about a request on the fold: it finds the turn that the key belongs to, or makes the events that accept
// the turn and says which of the record's events that is.
func (j *journal) admit(s *session.Session, d *draft, agent *Agent, a session.Request) (found session.TurnID, index int, events []session.Event, err error) {
	k := j.k
	if a.Key != "" {
		if found, err = j.known(s, d, a); err != nil || !found.IsZero() {
			return found, 0, nil, err
		}
	}
	open := len(s.Open)
	claimed := false
	for _, e := range d.events {
		if e.Type == session.TurnAccepted {
			open++
			if a.Key != "" && e.Accepted.Key == a.Key {
				return found, 0, nil, errSameBatch
			}
		}
		claimed = claimed || e.Type == session.SessionClaimed
	}
	switch {
	case s.Erased:
		return found, 0, nil, fault.New(fault.Unavailable, "", "the session is being erased").WithAfter(time.Second)
	case agent.Busy == Reject && open > 0:
		return found, 0, nil, fault.New(fault.Conflict, "", "the session is busy and agent %s takes one request at a time", agent.Name).WithTry("wait for the running turn")
	case open >= agent.Limits.Queue:
		return found, 0, nil, fault.New(fault.Limited, "", "the session has %d unfinished turns, which is its limit", open).WithAfter(time.Second)
	}
	if exp := s.Attention(millis(k.cfg.SessionTTL)).Expiry; len(d.events) == 0 && s.At.Len > 0 && exp > 0 && exp <= d.now {
		if !a.RetryOf.IsZero() {
			return found, 0, nil, fault.New(fault.Gone, "", "the turn's session expired")
		}
		events = append(events, session.Event{Type: session.SessionCleared})
	}
	if a.Key != "" {
		a.KeyUntil = d.now + millis(k.cfg.IdempotencyTTL)
	}
	index = len(d.events) + len(events)
	events = append(events, session.Event{Type: session.TurnAccepted, Accepted: &a})
	if s.Owner == "" && open == 0 && !claimed && k.mayClaim() {
		events = append(events, k.claim(s, d, ""))
	}
	return found, index, events, nil
}

// known is the turn that a request's key belongs to, zero when it is a new key.
func (j *journal) known(s *session.Session, d *draft, a session.Request) (session.TurnID, error) {
	if u, ok := s.Used(a.Key, d.now); ok {
		t := s.Turn(u.Turn)
		switch {
		case u.Digest != a.Digest:
			return session.TurnID{}, mismatch()
		case t == nil:
			return session.TurnID{}, fault.New(fault.Gone, "", "the turn of this idempotency key belongs to a session that expired")
		}
		return t.ID, nil
	}
	if j.tomb != nil && j.tomb.Until > d.now && slices.Contains(j.tomb.Keys, hashKey(a.Key)) {
		return session.TurnID{}, fault.New(fault.Gone, "", "the turn of this idempotency key was erased with its session")
	}
	return session.TurnID{}, nil
}

func mismatch() error {
	return fault.New(fault.KeyMismatch, "", "this idempotency key was used with another request").WithTry("use a new key for a new request")
}

// errSameBatch says that a turn with the same key is in the record in the making.
var errSameBatch = errors.New("the same key arrived twice at once")

// hashKey is an idempotency key as a tombstone keeps it.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte("ak-key\x00" + key))
	return hex.EncodeToString(sum[:16])
}
