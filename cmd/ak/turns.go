package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/server"
	"github.com/agentkernel/agentkernel/session"
)

func (a *app) turnsCommand() *cobra.Command {
	return a.group("turns", "List and show turns, and tell them something",
		a.turnsList(), a.turnsShow(), a.turnsResolve(),
		a.turnsDecide("approve", "Let a call that waits for approval be made, once", "approved"),
		a.turnsDecide("deny", "Refuse a call that waits for approval; the model is told so", "denied"),
		a.turnsTell("cancel", "Cancel a turn", "cancelled"),
		a.turnsTell("retry", "Start a failed or cancelled turn again, as a new one that inherits what was done", "started again"),
		a.turnsTell("release", "Let a quarantined turn run again", "released"),
		a.turnsTell("discard", "End a quarantined turn as failed", "discarded"),
	)
}

func (a *app) turnsList() *cobra.Command {
	var states []string
	var in, after string
	var limit int
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: "ls", Short: "List turns", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range states {
				if !session.TurnState(s).Valid() {
					return usage(cmd, "there is no state %q; there is accepted, running, waiting, completed, failed and cancelled", s)
				}
			}
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			setIf(q, "state", strings.Join(states, ","))
			setIf(q, "session_id", in)
			setIf(q, "after", after)
			var list server.TurnList
			raw, err := c.get(cmd.Context(), "/api/v1/turns?"+q.Encode(), &list)
			if err != nil {
				return err
			}
			if a.format == asJSON {
				return printJSON(a.out, raw)
			}
			rows := make([][]string, 0, len(list.Turns))
			for _, t := range list.Turns {
				rows = append(rows, []string{t.ID, t.Agent, stateOf(t), clock(t.AcceptedAt), cut(t.Prompt, 50)})
			}
			return a.page(table(a.out, "TURN AGENT STATE ACCEPTED PROMPT", rows), list.Next)
		},
	}))
	cmd.Flags().StringSliceVar(&states, "state", nil, "only turns in these `states`, separated by commas")
	cmd.Flags().StringVar(&in, "session", "", "only turns of the session with this `id`")
	cmd.Flags().StringVar(&after, "after", "", "only turns of sessions behind this `id`")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to look for, 1 to 1000")
	return cmd
}

func stateOf(t *agentkernel.TurnInfo) string {
	switch {
	case t.Waiting != nil && t.State == session.Waiting:
		return "waiting (" + string(t.Waiting.Reason) + ")"
	case t.Error != nil:
		return string(t.State) + " (" + string(t.Error.Kind) + ")"
	}
	return string(t.State)
}

func (a *app) turnsShow() *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: "show TURN", Short: "Show a turn and its steps", Args: exactly("TURN"), ValidArgsFunction: a.completing(completeTurns),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			var t agentkernel.TurnInfo
			raw, err := c.get(cmd.Context(), "/api/v1/turns/"+seg(args[0]), &t)
			if err != nil {
				return err
			}
			return a.showTurn(raw, &t)
		},
	}))
}

func (a *app) showTurn(raw []byte, t *agentkernel.TurnInfo) error {
	if a.format == asJSON {
		return printJSON(a.out, raw)
	}
	say := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(a.out, "%-10s %s\n", name, strings.TrimSpace(safe(value)))
		}
	}
	say("turn", t.ID)
	say("session", t.Session)
	say("agent", t.Agent)
	say("state", stateOf(t))
	say("accepted", clock(t.AcceptedAt))
	say("ended", clock(t.EndedAt))
	say("behind", t.Behind)
	say("answered by", t.AnsweredBy)
	say("retry of", t.RetryOf)
	say("prompt", t.Prompt)
	if t.Result != nil {
		say("result", *t.Result)
	}
	if t.Error != nil {
		say("error", t.Error.Message)
	}
	if t.Waiting != nil {
		say("waits for", string(t.Waiting.Reason)+": "+t.Waiting.Detail)
		for _, ask := range t.Waiting.Asks {
			say("asks for", "step "+ask.Step+": "+ask.Name+" "+string(ask.Args)+" (digest "+ask.Digest+", until "+clock(ask.Until)+")")
		}
	}
	if len(t.Steps) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(a.out)
	rows := make([][]string, 0, len(t.Steps))
	for _, s := range t.Steps {
		text := s.Text
		for _, call := range s.Calls {
			text = strings.TrimSpace(text + " calls " + call.Name + " " + string(call.Args))
		}
		if s.Error != nil {
			text = "error: " + s.Error.Message
		}
		if s.Why != "" {
			text = s.Why
		}
		rows = append(rows, []string{s.Step, string(s.Kind), s.Name, s.State, strconv.FormatInt(s.TookMS, 10) + "ms", cut(text, 80)})
	}
	return table(a.out, "STEP KIND NAME STATE TOOK WHAT", rows)
}

// turnsTell is a command that tells a turn one word.
func (a *app) turnsTell(verb, short, done string) *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: verb + " TURN", Short: short, Args: exactly("TURN"), ValidArgsFunction: a.completing(completeTurns),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.tell(cmd, args[0], verb, done, nil)
		},
	}))
}

func (a *app) tell(cmd *cobra.Command, id, verb, done string, body any) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	var t agentkernel.TurnInfo
	raw, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/turns/"+seg(id)+"/"+verb, body, &t)
	if err != nil {
		return err
	}
	if a.format == asJSON {
		return printJSON(a.out, raw)
	}
	_, err = fmt.Fprintf(a.out, "%s: turn %s is %s\n", done, printable(t.ID), stateOf(&t))
	return err
}

const decideLong = `%s answers a turn that waits for approval. The answer holds for one call with exactly the arguments that
ak turns show shows. If more than one call waits, --step says which. With --digest the answer is refused if the call is
not the one that was looked at.`

func (a *app) turnsDecide(verb, short, done string) *cobra.Command {
	var body decisionBody
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: verb + " TURN", Short: short, Long: fmt.Sprintf(decideLong, verb), Args: exactly("TURN"),
		ValidArgsFunction: a.completing(completeTurns),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.tell(cmd, args[0], verb, done, body) },
	}))
	cmd.Flags().StringVar(&body.Step, "step", "", "the `step`, if more than one call waits")
	cmd.Flags().StringVar(&body.Digest, "digest", "", "`digest` of the call, as ak turns show has it")
	cmd.Flags().StringVar(&body.Note, "note", "", "`text` for the journal; with a no the model is told it")
	return cmd
}

func (a *app) turnsResolve() *cobra.Command {
	var r server.ResolveBody
	var outcome string
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: "resolve TURN --outcome OUTCOME", Short: "Say what became of a call in doubt",
		Long: "resolve says what became of a call whose outcome nobody knew, and the turn goes on with it:\n\n  happened      it had its effect; --result is what it answered\n  not_happened  it had none; the model is told so\n  run_again     send it again",
		Args: exactly("TURN"), ValidArgsFunction: a.completing(completeTurns),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Outcome = session.Outcome(outcome)
			switch r.Outcome {
			case session.Happened, session.DidNotHappen, session.RunAgain:
			case "":
				return usage(cmd, "--outcome is missing: happened, not_happened or run_again")
			default:
				return usage(cmd, "--outcome is %q; it is happened, not_happened or run_again", outcome)
			}
			if r.Result != "" && r.Outcome != session.Happened {
				return usage(cmd, "--result is for --outcome happened")
			}
			return a.tell(cmd, args[0], "resolve", "resolved", r)
		},
	}))
	cmd.Flags().StringVar(&outcome, "outcome", "", "what became of it: `happened`, not_happened or run_again")
	cmd.Flags().StringVar(&r.Step, "step", "", "the `step`, if more than one call is in doubt")
	cmd.Flags().StringVar(&r.Result, "result", "", "what the call answered, as `text`")
	cmd.Flags().StringVar(&r.Note, "note", "", "`text` for the journal")
	return cmd
}
