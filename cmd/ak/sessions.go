package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/server"
)

func (a *app) sessionsCommand() *cobra.Command {
	return a.group("sessions", "List, show, follow and erase sessions", a.sessionsList(), a.sessionsShow(), a.sessionsTail(), a.sessionsRemove())
}

func (a *app) sessionsList() *cobra.Command {
	var search, after string
	var limit int
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: "ls", Short: "List sessions in the order of their ids", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			setIf(q, "search", search)
			setIf(q, "after", after)
			var list server.SessionList
			raw, err := c.get(cmd.Context(), "/api/v1/sessions?"+q.Encode(), &list)
			if err != nil {
				return err
			}
			if a.format == asJSON {
				return printJSON(a.out, raw)
			}
			rows := make([][]string, 0, len(list.Sessions))
			for _, s := range list.Sessions {
				rows = append(rows, []string{s.ID, s.State, strconv.FormatUint(s.Records, 10), clock(s.Updated), clock(s.Expiry), s.Owner})
			}
			return a.page(table(a.out, "SESSION STATE RECORDS UPDATED EXPIRES OWNER", rows), list.Next)
		},
	}))
	cmd.Flags().StringVar(&search, "search", "", "only sessions whose id contains this `text`")
	cmd.Flags().StringVar(&after, "after", "", "only sessions behind this `id`")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
	return cmd
}

func setIf(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// page says how to see more.
func (a *app) page(err error, next string) error {
	if err == nil && next != "" {
		_, _ = fmt.Fprintf(a.err, "(there is more: --after %s)\n", next)
	}
	return err
}

func (a *app) sessionsShow() *cobra.Command {
	return a.withOutput(a.asClient(&cobra.Command{
		Use: "show SESSION", Short: "Show a session and its conversation", Args: exactly("SESSION"),
		ValidArgsFunction: a.completing(completeSessions),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			var info agentkernel.SessionInfo
			if _, err := c.get(cmd.Context(), "/api/v1/sessions/"+seg(args[0]), &info); err != nil {
				return err
			}
			var talk server.MessageList
			if _, err := c.get(cmd.Context(), "/api/v1/sessions/"+seg(args[0])+"/messages", &talk); err != nil {
				return err
			}
			if a.format == asJSON {
				return printValue(a.out, struct {
					agentkernel.SessionInfo
					Messages []model.Message `json:"messages"`
				}{info, talk.Messages})
			}
			return a.showSession(info, talk.Messages)
		},
	}))
}

func (a *app) showSession(s agentkernel.SessionInfo, messages []model.Message) error {
	_, _ = fmt.Fprintf(a.out, "session %s: %s, %d turn(s), %d unfinished, %d record(s)\n", s.ID, s.State, count(s.Turns), count(s.Open), s.Records)
	_, _ = fmt.Fprintf(a.out, "created %s, updated %s, expires %s\n\n", orDash(clock(s.Created)), orDash(clock(s.Updated)), orDash(clock(s.Expiry)))
	var rows [][]string
	for _, m := range messages {
		for _, p := range m.Parts {
			switch {
			case p.Call != nil:
				rows = append(rows, []string{string(m.Role), "calls " + p.Call.Name + " " + string(p.Call.Args)})
			case p.Result != nil:
				rows = append(rows, []string{p.Result.Name, p.Result.Content})
			default:
				rows = append(rows, []string{string(m.Role), p.Text})
			}
		}
	}
	return table(a.out, "WHO WHAT", rows)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (a *app) sessionsRemove() *cobra.Command {
	return a.asClient(&cobra.Command{
		Use: "rm SESSION...", Short: "Erase sessions for good", ValidArgsFunction: a.completing(completeSessions),
		Long: "rm erases sessions: what runs in them stops, and their content is deleted for good. Only hashes of their idempotency\nkeys are kept, for as long as keys are remembered.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, "%s needs a SESSION", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			for _, id := range args {
				if _, err := c.do(cmd.Context(), http.MethodDelete, "/api/v1/sessions/"+seg(id), nil); err != nil {
					return err
				}
				_, _ = fmt.Fprintln(a.out, "erased "+strings.TrimSpace(printable(id)))
			}
			return nil
		},
	})
}

// count is a number that the server may have left out.
func count(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
