package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

func TestAgentsAreListedInTheirOrder(t *testing.T) {
	x := newSite(t)
	list := as[AgentList](t, x.do("GET", "/api/v1/agents", ""), 200)
	if len(list.Agents) != 7 || list.Agents[0] != "scripted" || list.Details[2].Name != "paying" || !slices.Equal(list.Details[2].Tools, []string{"charge_card"}) {
		t.Errorf("%+v", list)
	}
}

func TestReplicasAreListed(t *testing.T) {
	x := newSite(t, func(c *agentkernel.Config, _ *Config) { c.Zone, c.Version = "z1", "1.2.3" })
	list := as[ReplicaList](t, x.do("GET", "/api/v1/replicas", ""), 200)
	if len(list.Replicas) != 1 || list.Replicas[0].ID != x.k.ID() || list.Replicas[0].Zone != "z1" || list.Replicas[0].Version != "1.2.3" {
		t.Errorf("%+v", list)
	}
}

func TestSessionsArePagedByKey(t *testing.T) {
	x := newSite(t)
	if list := as[SessionList](t, x.do("GET", "/api/v1/sessions", ""), 200); list.Sessions == nil || len(list.Sessions) != 0 || list.Next != "" {
		t.Errorf("%+v", list)
	}
	for i := range 5 {
		as[ChatReply](t, x.chat(fmt.Sprintf(`{"prompt":"hello","session_id":"s%d"}`, i)), 200)
	}
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"other"}`), 200)
	var got []string
	after := ""
	for pages := 0; pages == 0 || after != ""; pages++ {
		list := as[SessionList](t, x.do("GET", "/api/v1/sessions?search=s&limit=2&after="+after, ""), 200)
		for _, s := range list.Sessions {
			got = append(got, s.ID)
		}
		if after = list.Next; pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if !slices.Equal(got, []string{"s0", "s1", "s2", "s3", "s4"}) {
		t.Errorf("%v", got)
	}
}

func TestASessionIsShownAndErased(t *testing.T) {
	x := newSite(t)
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"s"}`, "Idempotency-Key", "k"), 200)
	as[ChatReply](t, x.chat(`{"prompt":"what did I say first?","session_id":"s"}`), 200)
	r := x.do("GET", "/api/v1/sessions/s", "")
	if info := as[agentkernel.SessionInfo](t, r, 200); info.ID != "s" || *info.Turns != 2 || info.State != "idle" || r.Header.Get("AK-Session-Id") != "s" {
		t.Errorf("%s %v", r.body, r.Header)
	}
	messages := as[MessageList](t, x.do("GET", "/api/v1/sessions/s/messages", ""), 200)
	if len(messages.Messages) != 4 || messages.Messages[0].Text() != "hello" || messages.Messages[3].Role != model.Assistant || messages.Session != "s" {
		t.Errorf("%+v", messages)
	}
	var seqs []uint64
	for after, pages := uint64(0), 0; pages == 0 || after > 0; pages++ {
		page := as[JournalPage](t, x.do("GET", fmt.Sprintf("/api/v1/sessions/s/journal?limit=3&after=%d", after), ""), 200)
		for _, rec := range page.Records {
			seqs = append(seqs, rec.Seq)
		}
		if after = page.Next; pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if !slices.Equal(seqs, []uint64{1, 2, 3, 4}) {
		t.Errorf("%v", seqs)
	}
	if r := x.do("DELETE", "/api/v1/sessions/s", ""); r.StatusCode != 204 || len(r.body) > 0 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	for _, path := range []string{"", "/messages", "/journal"} {
		problem(t, x.do("GET", "/api/v1/sessions/s"+path, ""), 410, fault.Gone)
	}
	problem(t, x.chat(`{"prompt":"hello","session_id":"s"}`, "Idempotency-Key", "k"), 410, fault.Gone)
}

func TestTurnsAreListedByStateAndSession(t *testing.T) {
	x := newSite(t)
	done := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"a"}`), 200).Turn
	failed := problem(t, x.chat(`{"prompt":"hello","session_id":"b","agent":"refusing"}`), 422, fault.Refused).TurnID
	waits := as[Pending](t, x.chat(`{"prompt":"charge order A-1 1","session_id":"c","agent":"paying"}`), 202).Turn
	for query, want := range map[string][]string{
		"":                                {done, failed, waits},
		"?state=completed":                {done},
		"?state=failed,waiting":           {failed, waits},
		"?state=waiting&limit=1000":       {waits},
		"?state=cancelled":                {},
		"?session_id=b":                   {failed},
		"?session_id=b&state=completed":   {},
		"?state=completed,failed&after=a": {failed},
	} {
		list := as[TurnList](t, x.do("GET", "/api/v1/turns"+query, ""), 200)
		got := []string{}
		for _, i := range list.Turns {
			got = append(got, i.ID)
		}
		if list.Turns == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", query, got, want)
		}
	}
	first := as[TurnList](t, x.do("GET", "/api/v1/turns?limit=1", ""), 200)
	second := as[TurnList](t, x.do("GET", "/api/v1/turns?limit=1&after="+first.Next, ""), 200)
	if len(first.Turns) != 1 || first.Next != "a" || len(second.Turns) != 1 || second.Turns[0].ID != failed {
		t.Errorf("%+v %+v", first, second)
	}
}

func TestATurnIsShownWithItsSteps(t *testing.T) {
	x := newSite(t)
	p := as[Pending](t, x.chat(`{"prompt":"charge order A-1 1","agent":"paying"}`), 202)
	r := x.do("GET", "/api/v1/turns/"+p.Turn, "")
	i := as[agentkernel.TurnInfo](t, r, 200)
	if i.State != session.Waiting || i.Waiting.Reason != session.WaitInDoubt || len(i.Steps) != 2 || i.Steps[1].Name != "charge_card" || i.Prompt != "charge order A-1 1" {
		t.Errorf("%s", r.body)
	}
	if r.Header.Get("AK-Turn-Id") != p.Turn || r.Header.Get("AK-Session-Id") != p.Session || r.Header.Get("Location") != "" {
		t.Errorf("%v", r.Header)
	}
	cancelled := as[agentkernel.TurnInfo](t, x.do("POST", "/api/v1/turns/"+p.Turn+"/cancel", ""), 200)
	if cancelled.State != session.Cancelled {
		t.Errorf("%+v", cancelled)
	}
}

func TestRetryingTwiceIsOneNewTurn(t *testing.T) {
	x := newSite(t)
	failed := problem(t, x.chat(`{"prompt":"hello","agent":"refusing"}`), 422, fault.Refused).TurnID
	var ids []string
	for range 2 {
		r := x.do("POST", "/api/v1/turns/"+failed+"/retry", "")
		if r.StatusCode != 200 && r.StatusCode != 202 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		ids = append(ids, r.Header.Get("AK-Turn-Id"))
		x.settled(ids[0])
	}
	if ids[0] != ids[1] || ids[0] == failed {
		t.Errorf("%v", ids)
	}
	if i := as[agentkernel.TurnInfo](t, x.do("GET", "/api/v1/turns/"+ids[0], ""), 200); i.RetryOf != failed {
		t.Errorf("%+v", i)
	}
}

// quarantined writes the journal of a turn that made no progress.
func (x *site) quarantined(id string) (turn string) {
	x.t.Helper()
	key := session.Key{ID: id}
	s := &session.Session{Key: key}
	var ref session.Ref
	for _, events := range [][]session.Event{
		{
			{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "scripted", Input: []byte(`{"role":"user","parts":[{"text":"hello"}]}`)}},
			{Type: session.SessionClaimed, Claim: &session.Claim{Replica: "r_gone", Epoch: 1}},
		},
		{{Type: session.TurnWaiting, Turn: session.Ref{Seq: 1}, Waiting: &session.Wait{
			Reason: session.WaitQuarantined, Until: session.Millis(time.Now().Add(time.Hour).UnixMilli()), Detail: "taken over 3 times without progress",
		}}, {Type: session.SessionReleased, Release: &session.Release{Replica: "r_gone", Cause: "drain"}}},
	} {
		at := s.At
		rec, _, err := session.NewRecord(at, "r_gone", 1, session.Millis(time.Now().UnixMilli()), events)
		if err == nil {
			err = s.Apply(rec)
		}
		if err == nil {
			err = x.store.Append(x.t.Context(), key, at, rec, s.Attention(0))
		}
		if err != nil {
			x.t.Fatal(err)
		}
		if ref.IsZero() {
			ref, turn = session.Ref{Seq: 1}, session.MakeTurnID(id, rec, 0).String()
		}
	}
	return turn
}

func TestAQuarantinedTurnIsReleasedOrDiscarded(t *testing.T) {
	x := newSite(t)
	released, discarded := x.quarantined("r"), x.quarantined("d")
	list := as[TurnList](t, x.do("GET", "/api/v1/turns?state=waiting", ""), 200)
	if len(list.Turns) != 2 || list.Turns[0].Waiting.Reason != session.WaitQuarantined {
		t.Errorf("%+v", list)
	}
	problem(t, x.do("POST", "/api/v1/turns/"+released+"/resolve", `{"outcome":"happened"}`), 409, fault.Conflict)
	if r := x.do("POST", "/api/v1/turns/"+released+"/release", ""); r.StatusCode != 202 && r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if i := x.settled(released); i.State != session.Completed {
		t.Errorf("%+v", i)
	}
	if i := as[agentkernel.TurnInfo](t, x.do("POST", "/api/v1/turns/"+discarded+"/discard", ""), 200); i.State != session.Failed || i.Error.Kind != fault.Quarantined {
		t.Errorf("%+v", i)
	}
	problem(t, x.do("POST", "/api/v1/turns/"+discarded+"/discard", ""), 409, fault.Conflict)
}

func TestATurnThatTheStoreForgotIsGoneNotMissing(t *testing.T) {
	x := newSite(t)
	turn := as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"s"}`), 200).Turn
	forgotten := strings.Replace(turn, "~1.1.", "~1.9.", 1)
	p := problem(t, x.do("GET", "/api/v1/turns/"+forgotten, ""), 410, fault.LostByStore)
	if p.TurnID != forgotten || p.SessionID != "s" {
		t.Errorf("%+v", p)
	}
}

func TestOneCorruptSessionIsAnErrorAndNothingElse(t *testing.T) {
	x := newSite(t)
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"good"}`), 200)
	at := session.Position{}
	rec, _, err := session.NewRecord(at, "w", 0, 1, []session.Event{{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "scripted"}}})
	if err != nil {
		t.Fatal(err)
	}
	rec.Data = append(rec.Data[:len(rec.Data)-1], ' ', '}')
	if err := x.store.Append(t.Context(), session.Key{ID: "bad"}, at, rec, session.Attention{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/sessions/bad", "/sessions/bad/messages", "/sessions/bad/journal", "/turns?session_id=bad"} {
		problem(t, x.do("GET", "/api/v1"+path, ""), 500, fault.Corrupt)
	}
	problem(t, x.chat(`{"prompt":"hello","session_id":"bad"}`), 500, fault.Corrupt)
	as[SessionList](t, x.do("GET", "/api/v1/sessions", ""), 200)
	as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200)
	as[ChatReply](t, x.chat(`{"prompt":"hello","session_id":"good"}`), 200)
	if h := as[HealthReply](t, x.do("GET", "/health", ""), 200); h.Status != "healthy" {
		t.Errorf("%+v", h)
	}
}
