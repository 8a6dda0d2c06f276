package session_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// whatHappens says for every state of a turn and everything that can be journaled what becomes of the turn: a state, "-"
// if a journal that says so is corrupt, "=" if the event is none of that turn's business. It is written by hand, so that
// a change of the table in state.go is a decision and not a slip.
const whatHappens = `
           accept    claim    signal    resume   wait     step     resolve  complete   fail    cancel
none       accepted  =        -         -        -        -        -        -          -       -
accepted   =         running  accepted  -        -        -        -        -          failed  cancelled
running    =         running  running   -        waiting  running  running  completed  failed  cancelled
waiting    =         =        waiting   running  -        waiting  running  -          failed  cancelled
completed  =         =        -         -        -        -        -        -          -       -
failed     =         =        -         -        -        -        -        -          -       -
cancelled  =         =        -         -        -        -        -        -          -       -
`

// triggers names the columns as the table in state.go does.
var triggers = map[string]session.Trigger{
	"accept": "turn.accepted", "claim": "session.claimed", "signal": "turn.signaled", "resume": "turn.signaled:resume",
	"wait": "turn.waiting", "step": "step.*", "resolve": "step.resolved", "complete": "turn.completed",
	"fail": "turn.failed", "cancel": "turn.cancelled",
}

// matrix reads whatHappens as state → trigger → outcome.
func matrix() (states, columns []string, cells map[string]map[string]string) {
	cells = map[string]map[string]string{}
	for i, line := range strings.Split(strings.TrimSpace(whatHappens), "\n") {
		f := strings.Fields(line)
		if i == 0 {
			columns = f
			continue
		}
		states = append(states, f[0])
		cells[f[0]] = map[string]string{}
		for n, cell := range f[1:] {
			cells[f[0]][columns[n]] = cell
		}
	}
	return states, columns, cells
}

// occurrences are the events by which a trigger happens to turn 1.0, which has a step "b" that was begun and a step "d"
// in doubt if it ever ran.
func occurrences(trigger string) []session.Event {
	switch trigger {
	case "accept":
		return []session.Event{accepted()}
	case "claim":
		return []session.Event{claimed("r2", 9)}
	case "signal":
		return []session.Event{
			signaled(1, session.SignalCancel), signaled(1, session.SignalResolve),
			signaled(1, session.SignalDiscard), signaled(1, session.SignalExpire),
		}
	case "resume":
		return []session.Event{signaled(1, session.SignalRelease)}
	case "wait":
		return []session.Event{waits(1, session.WaitTimer, 5000)}
	case "step":
		return []session.Event{started(1, "x"), done(1, "x", session.ModelStep), done(1, "b", session.ToolStep), inDoubt(1, "b"), sets(1, "n", "1")}
	case "resolve":
		return []session.Event{resolved(1, "d", session.Happened), resolved(1, "d", session.RunAgain)}
	case "complete":
		return []session.Event{completed(1)}
	case "fail":
		return []session.Event{failedTurn(1)}
	case "cancel":
		return []session.Event{cancelled(1)}
	}
	panic(trigger)
}

// in makes a journal whose turn 1.0 is in that state.
func in(t *testing.T, state string) *journal {
	j := newJournal(t)
	if state == "none" {
		return j
	}
	j.add(accepted())
	if state == "accepted" {
		return j
	}
	j.add(claimed("r1", 1)).add(started(1, "b"), started(1, "d"), inDoubt(1, "d"))
	switch state {
	case "waiting":
		j.add(waits(1, session.WaitInDoubt, 5000))
	case "completed":
		j.add(completed(1))
	case "failed":
		j.add(failedTurn(1))
	case "cancelled":
		j.add(cancelled(1))
	}
	if is := string(j.turn(1).State); is != state {
		t.Fatalf("the turn is %s, want %s", is, state)
	}
	return j
}

func TestEveryStateAnswersEveryTrigger(t *testing.T) {
	states, columns, cells := matrix()
	if len(states) != 7 || len(columns) != len(triggers) {
		t.Fatalf("%d states and %d triggers", len(states), len(columns))
	}
	for _, state := range states {
		for _, trigger := range columns {
			for i, e := range occurrences(trigger) {
				t.Run(fmt.Sprintf("%s/%s/%d", state, trigger, i), func(t *testing.T) {
					j := in(t, state)
					err := j.try(e)
					want := cells[state][trigger]
					if want == "-" {
						if fault.KindOf(err) != fault.Corrupt {
							t.Fatalf("want corrupt, got %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if want == "=" {
						want = state
					}
					is := "none"
					if turn := j.s.Turn(session.Ref{Seq: 1}); turn != nil {
						is = string(turn.State)
					}
					if is != want {
						t.Fatalf("the turn is %s, want %s", is, want)
					}
				})
			}
		}
	}
}

func TestTheStateTableHoldsExactlyWhatHappens(t *testing.T) {
	states, columns, cells := matrix()
	inTable := map[string]string{}
	for _, row := range session.Transitions {
		pair := fmt.Sprint(row.From, " ", row.On)
		if _, twice := inTable[pair]; twice {
			t.Errorf("two rows for %s", pair)
		}
		if row.From != "" && (!row.From.Valid() || row.From.Ended()) || !row.To.Valid() {
			t.Errorf("row %s → %s is not between states of an unfinished turn", pair, row.To)
		}
		inTable[pair] = string(row.To)
	}
	for _, state := range states {
		for _, column := range columns {
			from := strings.Replace(state, "none", "", 1)
			pair := from + " " + string(triggers[column])
			want := strings.Trim(cells[state][column], "-=")
			if inTable[pair] != want {
				t.Errorf("%q leads to %q, want %q", pair, inTable[pair], want)
			}
			delete(inTable, pair)
		}
	}
	for pair := range inTable {
		t.Errorf("a row for %q, which no test knows", pair)
	}
}

func TestOnlyTerminalStatesHaveEnded(t *testing.T) {
	for state, ended := range map[session.TurnState]bool{
		session.Accepted: false, session.Running: false, session.Waiting: false,
		session.Completed: true, session.Failed: true, session.Cancelled: true,
	} {
		if state.Ended() != ended || !state.Valid() {
			t.Errorf("%s: ended %t, valid %t", state, state.Ended(), state.Valid())
		}
	}
	for _, state := range []session.TurnState{"", "done", "Accepted"} {
		if state.Valid() || state.Ended() {
			t.Errorf("%q is a state", state)
		}
	}
}

// page is docs/turn-states.md: the state table as a diagram.
func page() string {
	var b strings.Builder
	b.WriteString(`# The states of a turn

This page is made from the state table in session/state.go. A test fails when they differ;
` + "`go test ./session -run TestTheStatePage -update`" + ` writes it anew.

` + "```mermaid\nstateDiagram-v2\n")
	name := func(s session.TurnState) string {
		if s == "" {
			return "[*]"
		}
		return string(s)
	}
	type arrow struct{ from, to session.TurnState }
	var order []arrow
	labels := map[arrow][]string{}
	var ends []session.TurnState
	seen := map[session.TurnState]bool{}
	for _, row := range session.Transitions {
		a := arrow{row.From, row.To}
		if labels[a] == nil {
			order = append(order, a)
		}
		labels[a] = append(labels[a], label(row.On))
		if row.To.Ended() && !seen[row.To] {
			seen[row.To] = true
			ends = append(ends, row.To)
		}
	}
	for _, a := range order {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", name(a.from), name(a.to), strings.Join(labels[a], ", "))
	}
	for _, s := range ends {
		fmt.Fprintf(&b, "    %s --> [*]\n", s)
	}
	b.WriteString("```\n" + `
An arrow is named for the events that go along it. ` + "`session.claimed`" + ` starts the first turn in the queue, and each turn
behind it as its turn comes; on a running turn it is a takeover. ` + "`step.*`" + ` stands for ` + "`step.started`, `step.completed`," + `
` + "`step.in_doubt` and `state.set`. `turn.signaled (resume)`" + ` is the release of a quarantined turn; every other signal only
leaves word. What has no arrow does not happen: a journal that says so is corrupt.
`)
	return b.String()
}

// label is a trigger as a diagram can show it: a second colon would end the label.
func label(on session.Trigger) string {
	if event, narrow, ok := strings.Cut(string(on), ":"); ok {
		return event + " (" + narrow + ")"
	}
	return string(on)
}

func TestTheStatePageShowsTheTable(t *testing.T) {
	golden(t, "../docs/turn-states.md", page())
}

// golden compares with a file, or writes it under -update.
func golden(t *testing.T, path, is string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != is {
		t.Errorf("%s is not what the code says; run the test with -update and look at the difference\nwant:\n%s\nis:\n%s", path, want, is)
	}
}
