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
// whatever becomes of the caller; but see [Stateless]. With an error of kind OutcomeUnknown comes a handle on the turn that may exist.
func (k *Kernel) Start(ctx context.Context, req Request) (*Handle, error) {
	agent, err := k.agent(req.Agent)
	if err != nil {
		return nil, err
	}
	if isStateless(req.Session) && k.scratch != nil {
		req.Session = "" // nothing of it was kept
	}
	h, err := k.startKept(ctx, req, agent)
	if h == nil && k.scratch != nil && agent.OnStoreOutage == Stateless && k.store.isShut() && fault.KindOf(err) == fault.Unavailable {
		return k.startStateless(ctx, req)
	}
	return h, err
}

func (k *Kernel) startKept(ctx context.Context, req Request, agent *Agent) (*Handle, error) {
	key, accepted, err := k.prepare(req, agent)
	if err != nil {
		return nil, err
	}
	if err := k.store.enter(); err != nil {
		return nil, err
	}
	if k.phase.Load() != operational && !k.othersLive() {
		return nil, fault.New(fault.Unavailable, "", "this replica is leaving and there is no other").WithAfter(time.Second)
	}
	a := &asking{agent: agent, named: req.Agent != "", req: accepted}
	if len(req.Files) == 0 {
		return k.accept(ctx, key, a)
	}
	return k.acceptFiles(ctx, key, a, req)
}

// prepare checks a request and makes of it what the journal keeps.
func (k *Kernel) prepare(req Request, agent *Agent) (session.Key, session.Request, error) {
	bad := func(format string, args ...any) (session.Key, session.Request, error) {
		return session.Key{}, session.Request{}, fault.New(fault.BadRequest, "", format, args...)
	}
	switch {
	case strings.TrimSpace(req.Prompt) == "" && len(req.Files) == 0:
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
	said := model.Message{Role: model.User}
	if req.Prompt != "" {
		said.Parts = append(said.Parts, model.Part{Text: req.Prompt})
	}
	if err := checkFiles(req.Files); err != nil {
		return session.Key{}, session.Request{}, err
	}
	of := []any{agent.Name, req.Prompt, req.Extra}
	for _, f := range req.Files {
		file := sealed(f)
		said.Parts = append(said.Parts, model.Part{File: &file})
		of = append(of, file)
	}
	a := session.Request{Agent: agent.Name, Input: mustJSON(said), Extra: req.Extra, Key: req.Key}
	if req.Key != "" {
		a.Digest = digest(of)
	}
	return session.Key{Tenant: req.Tenant, ID: id}, a, nil
}

// asking is a request on its way into the journal.
type asking struct {
	agent *Agent
	named bool // the request says which agent it wants
	req   session.Request
	life  uint64 // in which its files are stored, 0 when it has none

	steers bool // it may become a message to the running turn

	found session.TurnID // the turn that it belongs to already, or is told to
	told  bool           // it is a message to that turn
	index int            // of the event that accepted its turn, in the record
}

// accept writes turn.accepted, with a claim if nobody owns the session, or finds the turn that the key belongs to. A
// request that may be for an agent that is steered is decided about alone: it may become a message to the running turn,
// which must not end in the same record.
func (k *Kernel) accept(ctx context.Context, key session.Key, a *asking) (*Handle, error) {
	j := k.open(key)
	defer j.unpin()
	kind := accepting
	if a.steers = a.agent.Busy == Steer || !a.named && k.steered(); a.steers {
		kind = signaling
	}
	propose := func() (place, error) {
		return j.propose(ctx, &proposal{class: kind, write: func(s *session.Session, d *draft) ([]session.Event, error) {
			return j.admit(s, d, a)
		}})
	}
	place, err := propose()
	if turnedAway(err) && j.refresh() == nil { // by the fold as it was known here; others may have ended its turns
		place, err = propose()
	}
	for errors.Is(err, errSameBatch) { // the other one is durable, or failed, when this one's turn comes
		place, err = propose()
	}
	h := &Handle{k: k, key: key, id: a.found, steered: a.told}
	if a.found.IsZero() && place.rec.ID != "" {
		h.id = session.MakeTurnID(key.ID, place.rec, a.index)
	}
	if fault.KindOf(err) == fault.OutcomeUnknown && !h.id.IsZero() {
		return h, err
	}
	if err != nil {
		return nil, err
	}
	if a.found.IsZero() {
		k.obs.TurnAccepted(a.agent.Name)
	}
	return h, nil
}

// turnedAway reports that a request was refused because of what the session does, of which this replica may know too little.
func turnedAway(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Limited || k == fault.Conflict
}

// admit decides about a request on the fold: it finds the turn that the key belongs to, or makes the events that accept
// the turn, or that tell the running one.
func (j *journal) admit(s *session.Session, d *draft, a *asking) (events []session.Event, err error) {
	k, req := j.k, a.req
	a.found, a.told = session.TurnID{}, false
	if req.Key != "" {
		if a.found, err = j.known(s, d, req); err != nil || !a.found.IsZero() {
			if t := s.Find(a.found); t != nil && t.Request.Key != req.Key {
				a.told = true
			}
			return nil, err
		}
		req.KeyUntil = d.now + millis(k.cfg.IdempotencyTTL)
	}
	open, claimed := len(s.Open), false
	for _, e := range d.events {
		if e.Type == session.TurnAccepted {
			open++
			if req.Key != "" && e.Accepted.Key == req.Key {
				return nil, errSameBatch
			}
		}
		claimed = claimed || e.Type == session.SessionClaimed
	}
	agent := a.agent
	if other, err := k.agent(s.Agent); !a.named && s.Agent != "" && err == nil {
		agent, req.Agent = other, other.Name // the conversation was handed over
	}
	if err := j.refusal(s, agent, a, open); err != nil {
		return nil, err
	}
	if a.steers && agent.Busy == Steer {
		e, err := k.steer(s.Current(), agent, req)
		if e != nil {
			a.found, a.told = s.Current().ID, true
			return []session.Event{*e}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if exp := s.Attention(millis(k.cfg.SessionTTL)).Expiry; len(d.events) == 0 && s.At.Len > 0 && exp > 0 && exp <= d.now {
		if !req.RetryOf.IsZero() {
			return nil, fault.New(fault.Gone, "", "the turn's session expired")
		}
		events = append(events, session.Event{Type: session.SessionCleared})
	}
	a.index = len(d.events) + len(events)
	events = append(events, session.Event{Type: session.TurnAccepted, Accepted: &req})
	if s.Owner == "" && open == 0 && !claimed && k.mayClaim() {
		events = append(events, k.claim(s, d, ""))
	}
	return events, nil
}

// refusal says why a session does not take a request now.
func (j *journal) refusal(s *session.Session, agent *Agent, a *asking, open int) error {
	life := s.At.Life
	if s.At.Len == 0 {
		life++
	}
	switch {
	case s.Erased:
		return fault.New(fault.Unavailable, "", "the session is being erased").WithAfter(time.Second)
	case a.life != 0 && a.life != life:
		return errOtherLife
	case !a.req.RetryOf.IsZero() && s.Turn(a.req.RetryOf) == nil:
		return fault.New(fault.Gone, "", "the turn is too old to be retried: the conversation was summed up since")
	case agent.Busy == Reject && open > 0:
		return fault.New(fault.Conflict, "", "the session is busy and agent %s takes one request at a time", agent.Name).WithTry("wait for the running turn")
	case open >= agent.Limits.Queue:
		return fault.New(fault.Limited, "", "the session has %d unfinished turns, which is its limit", open).WithAfter(time.Second)
	}
	return nil
}

// known is the turn that a request's key belongs to, zero when it is a new key.
func (j *journal) known(s *session.Session, d *draft, a session.Request) (session.TurnID, error) {
	if u, ok := s.Used(a.Key, d.now); ok {
		switch {
		case u.Digest != a.Digest:
			return session.TurnID{}, mismatch()
		case s.Find(u.Turn) == nil && !s.Past(u.Turn):
			return session.TurnID{}, fault.New(fault.Gone, "", "the turn of this idempotency key belongs to a session that expired")
		}
		return u.Turn, nil
	}
	if j.tomb != nil && j.tomb.Until > d.now && slices.Contains(j.tomb.Keys, hashKey(a.Key)) {
		return session.TurnID{}, fault.New(fault.Gone, "", "the turn of this idempotency key was erased with its session")
	}
	return session.TurnID{}, nil
}

func mismatch() error {
	return fault.New(fault.KeyMismatch, "", "this idempotency key was used with another request").WithTry("use a new key for a new request")
}

// errOtherLife says that the session was erased, and perhaps used again, since the request's files were stored.
var errOtherLife = errors.New("the session was erased meanwhile")

// errSameBatch says that a turn with the same key is in the record in the making.
var errSameBatch = errors.New("the same key arrived twice at once")

// hashKey is an idempotency key as a tombstone keeps it.
func hashKey(key string) string {
	sum := sha256.Sum256([]byte("ak-key\x00" + key))
	return hex.EncodeToString(sum[:16])
}
