package agentkernel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

// Handle follows one turn. It holds nothing; any number may exist, at any replica.
type Handle struct {
	k   *Kernel
	key session.Key
	id  session.TurnID

	steered bool
	shown   string // the session's id as the caller knows it, where that is another one
}

// Steered reports that the request did not start this turn but was told to it while it ran.
func (h *Handle) Steered() bool { return h.steered }

// ID names the turn.
func (h *Handle) ID() string { return h.id.String() }

// Session names the turn's session.
func (h *Handle) Session() string { return cmp.Or(h.shown, h.key.ID) }

// Turn follows a turn by its id.
func (k *Kernel) Turn(tenant, id string) (*Handle, error) {
	t, err := session.ParseTurnID(id)
	if err != nil {
		return nil, err
	}
	return &Handle{k: k.keeper(t.Session), key: session.Key{Tenant: tenant, ID: t.Session}, id: t}, nil
}

// TurnInfo is a turn as it is shown.
type TurnInfo struct {
	ID         string             `json:"turn_id"`
	Session    string             `json:"session_id"`
	Agent      string             `json:"agent"`
	State      session.TurnState  `json:"state"`
	Result     *string            `json:"result,omitempty"`
	Value      json.RawMessage    `json:"value,omitempty"`
	Error      *session.Failure   `json:"error,omitempty"`
	Waiting    *session.Wait      `json:"waiting,omitempty"`
	Behind     string             `json:"behind,omitempty"` // the turn of this session that runs or waits before it
	Prompt     string             `json:"prompt"`
	Steps      []StepInfo         `json:"steps,omitempty"`
	Input      int64              `json:"tokens_in"`
	Output     int64              `json:"tokens_out"`
	AcceptedAt session.Millis     `json:"accepted_at"`
	StartedAt  session.Millis     `json:"started_at,omitempty"`
	EndedAt    session.Millis     `json:"ended_at,omitempty"`
	RanMS      session.Millis     `json:"ran_ms"`
	Recoveries int                `json:"recoveries,omitempty"`
	RetryOf    string             `json:"retry_of,omitempty"`
	Owner      string             `json:"owner,omitempty"`       // the replica that runs it
	AnsweredBy string             `json:"answered_by,omitempty"` // the agent that had the conversation in the end, if it was handed over
	Cost       float64            `json:"cost_usd,omitempty"`    // dollars, by the configured prices
	Degraded   []session.Degraded `json:"degraded,omitempty"`    // in what the reply is less than what was asked for
}

// Settled reports that nothing more happens without someone from outside: the turn has ended, or it waits, or it is
// queued behind one that waits.
func (i *TurnInfo) Settled() bool {
	return i.State.Ended() || i.State == session.Waiting || i.Behind != "" && i.Waiting != nil
}

// Err is the turn's failure as an error, a Waiting error while it waits, and nil when it completed or still runs.
func (i *TurnInfo) Err() error {
	switch {
	case i.Error != nil:
		return errorOf(i.Error)
	case i.State == session.Cancelled:
		return fault.New(fault.Cancelled, "", "the turn was cancelled")
	case i.Waiting != nil:
		return fault.New(fault.Waiting, "", "the turn waits (%s): %s", i.Waiting.Reason, i.Waiting.Detail)
	}
	return nil
}

func info(s *session.Session, t *session.Turn) *TurnInfo {
	i := &TurnInfo{
		ID: t.ID.String(), Session: s.Key.ID, Agent: t.Request.Agent, State: t.State, Error: t.Failure, Waiting: t.Wait,
		Prompt: inputText(t), Input: t.Input, Output: t.Output, AcceptedAt: t.AcceptedAt, StartedAt: t.StartedAt,
		EndedAt: t.EndedAt, RanMS: t.Ran, Recoveries: t.Recoveries, AnsweredBy: t.Agent, Cost: float64(t.Cost) / 1e6,
	}
	if t.Reply != nil {
		i.Result, i.Value, i.Degraded = &t.Reply.Text, t.Reply.Value, t.Reply.Degraded
	}
	if cur := s.Current(); cur != nil && cur != t && !t.State.Ended() {
		i.Behind = cur.ID.String()
		i.Waiting = cur.Wait
	} else if cur == t {
		i.Owner = s.Owner
	}
	if r := s.Turn(t.Request.RetryOf); r != nil {
		i.RetryOf = r.ID.String()
	}
	for _, st := range t.Steps {
		i.Steps = append(i.Steps, stepInfo(st))
	}
	return i
}

func stepInfo(st *session.Step) StepInfo {
	if st.Result != nil {
		return describeResult(st.Key, st.Result)
	}
	d := StepInfo{Step: st.Key, State: string(st.State)}
	if st.Word != nil {
		d.Decision = string(st.Word.Kind)
	}
	if st.Start != nil {
		d.Kind, d.Name = st.Start.Kind, st.Start.Name
	}
	if st.Doubt != nil {
		d.Why = st.Doubt.Why
	}
	return d
}

func inputText(t *session.Turn) string {
	var m model.Message
	if json.Unmarshal(t.Request.Input, &m) != nil {
		return ""
	}
	return m.Text()
}

// Info is the turn as it stands now.
func (h *Handle) Info(ctx context.Context) (*TurnInfo, error) {
	j := h.k.open(h.key)
	defer j.unpin()
	if err := j.refresh(); err != nil {
		return nil, err
	}
	var i *TurnInfo
	err := j.view(func(s *session.Session) error {
		t, err := j.lookup(s, h.id)
		if err == nil {
			i = info(s, t)
		}
		return err
	})
	if errors.Is(err, errPast) {
		return j.pastInfo(ctx, h.id)
	}
	return h.named(i), err
}

// named is the turn with its session's id as the caller knows it.
func (h *Handle) named(i *TurnInfo) *TurnInfo {
	if i != nil {
		i.Session = h.Session()
	}
	return i
}

// pastInfo is a turn as its records tell of it.
func (j *journal) pastInfo(ctx context.Context, id session.TurnID) (*TurnInfo, error) {
	t, err := j.past(ctx, id)
	if err != nil {
		return nil, err
	}
	return info(&session.Session{Key: j.key}, t), nil
}

// Settle waits until the turn is settled: see [TurnInfo.Settled]. That a turn waits is believed only of a fold that was
// compared with the store just now: what it waits for may have come at another replica.
func (h *Handle) Settle(ctx context.Context) (*TurnInfo, error) {
	j := h.k.open(h.key)
	defer j.unpin()
	defer h.k.follow.add(j)()
	if err := j.reach(h.id); err != nil {
		return nil, err
	}
	i, err := j.settled(ctx, h.id)
	if err == nil && !i.State.Ended() {
		if err := j.refresh(); err != nil {
			return nil, err
		}
		i, err = j.settled(ctx, h.id)
	}
	if errors.Is(err, errPast) {
		return j.pastInfo(ctx, h.id)
	}
	return h.named(i), err
}

func (j *journal) settled(ctx context.Context, id session.TurnID) (i *TurnInfo, err error) {
	err = j.wait(ctx, func(s *session.Session) (bool, error) {
		t, err := j.lookup(s, id)
		if err != nil {
			return false, err
		}
		cur := s.Current()
		if !t.State.Ended() && t.State != session.Waiting && (cur == t || cur.State != session.Waiting) {
			return false, nil
		}
		i = info(s, t)
		return true, nil
	})
	return i, err
}

// Wait waits until the turn has ended, and returns its reply, or its failure as an error with a kind. A turn that comes
// to wait for a person is an error of kind Waiting; the turn goes on once that person has spoken.
func (h *Handle) Wait(ctx context.Context) (Reply, error) {
	i, err := h.Settle(ctx)
	if err != nil {
		return Reply{}, err
	}
	if err := i.Err(); err != nil {
		return Reply{}, err
	}
	return Reply{Text: *i.Result, Value: i.Value, Degraded: i.Degraded}, nil
}
