package agentkernel

import (
	"context"
	"slices"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// SessionInfo is a session as it is shown.
type SessionInfo struct {
	ID      string         `json:"session_id"`
	Records uint64         `json:"records"`
	Life    uint64         `json:"life"`
	Turns   *int           `json:"turns,omitempty"`      // not in lists
	Open    *int           `json:"unfinished,omitempty"` // not in lists
	State   string         `json:"state"`                // idle, or the state of the turn whose time it is
	Owner   string         `json:"owner,omitempty"`
	Epoch   uint64         `json:"epoch,omitempty"`
	Created session.Millis `json:"created_at,omitempty"`
	Updated session.Millis `json:"updated_at,omitempty"`
	Expiry  session.Millis `json:"expires_at,omitempty"`
	Agent   string         `json:"agent,omitempty"`   // who has the conversation, after a hand-over; not in lists
	Summary string         `json:"summary,omitempty"` // of the turns that are not shown any more; not in lists
	Error   string         `json:"error,omitempty"`   // why it cannot be read
}

// Sessions lists sessions in the order of their ids. Listing reads heads only; Turns, Open and Created are not set.
func (k *Kernel) Sessions(ctx context.Context, q session.Query) ([]SessionInfo, error) {
	heads, err := k.list(ctx, q)
	if err != nil {
		return nil, err
	}
	list := make([]SessionInfo, len(heads))
	for i, h := range heads {
		state := "idle"
		if !h.Idle() {
			state = "unfinished"
		}
		list[i] = SessionInfo{ID: h.Key.ID, Records: h.Len, Life: h.Life, State: state, Owner: h.Owner, Epoch: h.Epoch, Updated: h.Updated, Expiry: h.Expiry}
	}
	return list, nil
}

func (k *Kernel) list(ctx context.Context, q session.Query) ([]session.Head, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.StoreTimeout)
	defer cancel()
	heads, err := k.store.List(ctx, q)
	if err != nil {
		return nil, fault.New(kindOfStore(err), "", "the sessions cannot be listed: %w", err).WithAfter(time.Second)
	}
	return heads, nil
}

// read calls f with the freshest fold of a session that exists.
func (k *Kernel) read(key session.Key, f func(j *journal, s *session.Session) error) error {
	if err := session.CheckID("session_id", key.ID); err != nil {
		return err
	}
	j := k.open(key)
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return err
	}
	return j.view(func(s *session.Session) error {
		switch {
		case s.Erased || j.tomb != nil:
			return fault.New(fault.Gone, "", "session %s was erased", key.ID)
		case s.At.Len == 0:
			return noSession(key)
		}
		return f(j, s)
	})
}

// Session shows one session.
func (k *Kernel) Session(key session.Key) (info SessionInfo, err error) {
	err = k.read(key, func(_ *journal, s *session.Session) error {
		info = SessionInfo{
			ID: key.ID, Records: s.At.Len, Life: s.At.Life, Turns: new(len(s.Turns)), Open: new(len(s.Open)), State: "idle",
			Owner: s.Owner, Epoch: s.Epoch, Created: s.Created, Updated: s.Updated,
			Expiry: s.Attention(millis(k.cfg.SessionTTL)).Expiry,
		}
		if t := s.Current(); t != nil {
			info.State = string(t.State)
		}
		if info.Agent = s.Agent; s.Summary != nil {
			info.Summary = s.Summary.Text
		}
		return nil
	})
	return info, err
}

// Messages is a session's conversation so far, the running turn's part included.
func (k *Kernel) Messages(key session.Key) (messages []model.Message, err error) {
	var life uint64
	err = k.read(key, func(j *journal, s *session.Session) error {
		life = s.At.Life
		if messages, err = j.told.history(s); err != nil {
			return err
		}
		for _, t := range s.Open {
			more, err := transcript(t)
			if err != nil {
				return err
			}
			messages = append(messages, more...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := k.opCtx()
	defer cancel()
	return k.hydrate(ctx, key, life, messages, false)
}

// JournalEntry is a record as it is shown.
type JournalEntry struct {
	ID string `json:"id"`
	session.Batch
}

// Journal shows records of a session with sequence numbers above after, at most limit. Where the oldest of those were
// trimmed, it begins with the oldest kept.
func (k *Kernel) Journal(ctx context.Context, key session.Key, after uint64, limit int) ([]JournalEntry, error) {
	if err := k.read(key, func(*journal, *session.Session) error { return nil }); err != nil {
		return nil, err
	}
	_, records, err := k.readKept(ctx, key, after, limit)
	if err != nil {
		return nil, fault.New(kindOfStore(err), "", "the journal cannot be read: %w", err).WithAfter(time.Second)
	}
	entries := make([]JournalEntry, 0, len(records))
	for _, r := range records {
		b, err := r.Decode()
		if err != nil {
			return nil, err
		}
		entries = append(entries, JournalEntry{ID: r.ID, Batch: b})
	}
	return entries, nil
}

// TurnQuery selects turns.
type TurnQuery struct {
	Tenant  string
	States  []session.TurnState // empty: all
	Session string              // empty: all sessions
	After   string              // where to go on, as the call before said
	Limit   int                 // turns to look for, 0 means 100
}

// scanPage is how many sessions one listing of turns looks into at most.
const scanPage = 200

// Turns lists turns, session by session in the order of ids. There is no index of turns by state: unfinished ones are
// found among the sessions that have some, ended ones by looking into sessions, at most a page of them per call. next is
// where to go on, empty at the end. A session that cannot be read is left out; the sessions' list shows it.
func (k *Kernel) Turns(ctx context.Context, q TurnQuery) (turns []*TurnInfo, next string, err error) {
	for _, s := range q.States {
		if !s.Valid() {
			return nil, "", fault.New(fault.BadRequest, "", "%.40q is not a state of a turn", string(s)).
				WithTry("use accepted, running, waiting, completed, failed or cancelled")
		}
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	if q.Session != "" {
		turns, err = k.turnsOf(session.Key{Tenant: q.Tenant, ID: q.Session}, q.States)
		if i := slices.IndexFunc(turns, func(t *TurnInfo) bool { return t.ID == q.After }); i >= 0 {
			turns = turns[i+1:]
		}
		if len(turns) > q.Limit {
			turns, next = turns[:q.Limit], turns[q.Limit-1].ID
		}
		return turns, next, err
	}
	unfinished := len(q.States) > 0 && !slices.ContainsFunc(q.States, session.TurnState.Ended)
	heads, err := k.list(ctx, session.Query{Tenant: q.Tenant, After: q.After, Limit: scanPage, Unfinished: unfinished})
	if err != nil {
		return nil, "", err
	}
	for i, h := range heads {
		some, err := k.turnsOf(h.Key, q.States)
		if err != nil && fault.KindOf(err) == fault.Unavailable {
			return nil, "", err
		}
		turns = append(turns, some...)
		if len(turns) >= q.Limit && i < len(heads)-1 {
			return turns, h.Key.ID, nil
		}
	}
	if len(heads) == scanPage {
		next = heads[len(heads)-1].Key.ID
	}
	return turns, next, nil
}

func (k *Kernel) turnsOf(key session.Key, states []session.TurnState) (turns []*TurnInfo, err error) {
	err = k.read(key, func(_ *journal, s *session.Session) error {
		for _, t := range s.Turns {
			if len(states) == 0 || slices.Contains(states, t.State) {
				i := info(s, t)
				i.Steps = nil
				turns = append(turns, i)
			}
		}
		return nil
	})
	return turns, err
}
