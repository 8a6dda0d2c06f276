package session_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// The folder testdata/records holds journals as they lie in stores: one file per journal, one record per line, beside
// the state that each folds to. Journals of earlier formats stay there for as long as there may be such records.

// everyEvent is a journal with every type of event and every field, in format 1.
func everyEvent() [][]session.Event {
	turn := func(seq uint64, typ session.EventType, step string) session.Event {
		return session.Event{Type: typ, Turn: session.Ref{Seq: seq}, Step: step}
	}
	accept := session.Event{Type: session.TurnAccepted, Accepted: &session.Request{
		Agent: "desk", Input: json.RawMessage(`{"role":"user"}`), Extra: json.RawMessage(`{"lang":"en"}`),
		Key: "order-1", Digest: "0011223344556677", KeyUntil: 90_000_000,
	}}
	claim := session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: "r1", Epoch: 1}}
	takeover := session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: "r2", Epoch: 2, From: "r1", Cause: "takeover"}}
	asked := turn(1, session.StepCompleted, "m0")
	asked.Result = &session.StepResult{
		Kind: session.ModelStep, Name: "main", Digest: "8899aabbccddeeff", Value: json.RawMessage(`{"message":{"calls":1}}`),
		Attempts: 2, Model: "large-1", Input: 900, Output: 40, TookMS: 1200, Diverged: true,
	}
	start := turn(1, session.StepStarted, "m0.0")
	start.Start = &session.Start{
		Kind: session.ToolStep, Name: "pay", Args: json.RawMessage(`{"amount":5}`), Effect: session.AtMostOnce, Key: "ak_1", Epoch: 1,
	}
	doubt := turn(1, session.StepInDoubt, "m0.0")
	doubt.Doubt = &session.Doubt{Why: "its owner stopped"}
	wait := turn(1, session.TurnWaiting, "")
	wait.Waiting = &session.Wait{Reason: session.WaitInDoubt, Step: "m0.0", Until: 86_400_000, Detail: "did pay take place?"}
	word := turn(1, session.TurnSignaled, "")
	word.Signal = &session.Signal{Kind: session.SignalResolve, By: "operator", Note: "seen in the ledger"}
	resolve := turn(1, session.StepResolved, "m0.0")
	resolve.Resolved = &session.Resolution{Outcome: session.Happened, By: "operator", Value: json.RawMessage(`{"content":"paid"}`), Note: "seen in the ledger"}
	resume := session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: "r1", Epoch: 3, Cause: "resume"}}
	set := turn(1, session.StateSet, "")
	set.Set = &session.Setting{Name: "paid", Value: json.RawMessage(`true`)}
	release := session.Event{Type: session.SessionReleased, Release: &session.Release{Replica: "r1", Cause: "drain"}}
	again := session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: "r2", Epoch: 4, Cause: "resume"}}
	broke := turn(1, session.StepCompleted, "m1")
	broke.Result = &session.StepResult{Kind: session.ModelStep, Name: "main", Error: &session.Failure{
		Kind: fault.Throttled, Message: "slow down", Step: "m1", AfterMS: 250,
	}}
	fail := turn(1, session.TurnFailed, "")
	fail.Failure = &session.Failure{Kind: fault.Throttled, Message: "slow down", AfterMS: 250}
	retry := session.Event{Type: session.TurnAccepted, Accepted: &session.Request{
		Agent: "desk", Input: json.RawMessage(`{"role":"user"}`), RetryOf: session.Ref{Seq: 1},
	}}
	reply := turn(9, session.TurnCompleted, "")
	reply.Reply = &session.Reply{Text: "Paid.", Value: json.RawMessage(`{"ok":true}`)}
	plain := session.Event{Type: session.TurnAccepted, Accepted: &session.Request{Agent: "desk", Input: json.RawMessage(`"bye"`)}}
	closed := turn(11, session.StepCompleted, "m0.0")
	closed.Result = &session.StepResult{Kind: session.ToolStep, Name: "pay", Value: json.RawMessage(`"not made"`), Healed: true}
	return [][]session.Event{
		{accept, claim},                       // 1
		{asked, start},                        // 2
		{takeover},                            // 3
		{doubt, wait},                         // 4
		{word, resolve, resume},               // 5
		{set, release},                        // 6
		{again},                               // 7
		{broke, fail},                         // 8
		{retry, claimOf("r2", 5)},             // 9
		{reply},                               // 10
		{plain, claimOf("r1", 6)},             // 11
		{closed},                              // 12
		{turn(11, session.TurnCancelled, "")}, // 13
		{session.Event{Type: session.SessionCleared}, plain}, // 14
		{session.Event{Type: session.SessionErased}},         // 15
	}
}

func claimOf(replica string, epoch uint64) session.Event {
	return session.Event{Type: session.SessionClaimed, Claim: &session.Claim{Replica: replica, Epoch: epoch}}
}

// lines writes a journal as it lies in a store, with nothing left to chance.
func lines(t *testing.T, batches [][]session.Event) string {
	var text strings.Builder
	prev := ""
	for i, events := range batches {
		b := session.Batch{
			V: session.Format, Life: 1, Seq: uint64(i + 1), Prev: prev, Nonce: "0a0b0c0d0e0f", Writer: "r1", Epoch: uint64(i),
			At: session.Millis(1000 * (i + 1)), Events: events,
		}
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		prev = id(data)
		text.Write(data)
		text.WriteByte('\n')
	}
	return text.String()
}

func TestTheDurableFormatIsTheOneOnRecord(t *testing.T) {
	golden(t, "testdata/records/format1.jsonl", lines(t, everyEvent()))
}

func TestTheRecordedJournalHasEveryEvent(t *testing.T) {
	seen := map[string]bool{}
	for _, events := range everyEvent() {
		for _, e := range events {
			seen[string(e.Type)] = true
		}
	}
	for name, value := range constants(t, "event.go", "EventType") {
		if !seen[value] {
			t.Errorf("%s is not in it", name)
		}
	}
}

// constants are the string constants of a type in one of the package's files.
func constants(t *testing.T, file, typ string) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == typ && len(v.Values) == 1 {
				found[v.Names[0].Name], _ = strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			}
		}
		return true
	})
	if len(found) == 0 {
		t.Fatalf("%s has no constant of type %s", file, typ)
	}
	return found
}

// summary tells what a session has come to. It says less than the fold holds, so that a new field of the fold is no
// change here, and a change of meaning is.
func summary(s *session.Session) string {
	var b strings.Builder
	a := s.Attention(ttl)
	fmt.Fprintf(&b, "%s owner=%q epoch=%d due=%d expiry=%d erased=%t state=%s keys=%v\n",
		s.At.LastID, a.Owner, a.Epoch, a.Due, a.Expiry, s.Erased, compact(s.State), s.KeysInUse(s.Updated))
	for _, t := range s.Turns {
		fmt.Fprintf(&b, "  %s %s root=%s ran=%d recoveries=%d tokens=%d+%d wait=%s sets=%s reply=%s failure=%s\n", t.ID, t.State, t.Root.Ref, t.Ran,
			t.Recoveries, t.Input, t.Output, compact(t.Wait), compact(t.Sets), compact(t.Reply), compact(t.Failure))
		for _, st := range t.Steps {
			fmt.Fprintf(&b, "    %s %s start=%s result=%s doubt=%s solved=%s\n", st.Key, st.State, compact(st.Start), compact(st.Result),
				compact(st.Doubt), compact(st.Solved))
		}
	}
	return b.String()
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRecordedJournalsStillFold(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no journals: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &session.Session{Key: key}
			var recs []session.Record
			var states strings.Builder
			for i, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
				rec := record(uint64(i+1), line)
				recs = append(recs, rec)
				if err := s.Apply(rec); err != nil {
					t.Fatal(err)
				}
				states.WriteString(summary(s))
			}
			if end, err := session.Verify(session.Position{}, recs); err != nil || end != s.At {
				t.Errorf("the chain ends at %+v, the fold at %+v: %v", end, s.At, err)
			}
			golden(t, strings.TrimSuffix(file, ".jsonl")+".states", states.String())
		})
	}
}
