package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/fault"
)

const chatLong = `chat asks an agent and shows its answer as it comes. With a prompt it asks once; without one it reads prompts from
standard input, one a line, in one session. It needs a server that runs: ak serve.

A request that was taken is never lost: if the server goes away in the middle, chat waits up to 30 s for it to come back
and goes on where it was.`

// chatFlags are the flags of ak chat.
type chatFlags struct {
	session, agent, key string
}

func (a *app) chatCommand() *cobra.Command {
	var f chatFlags
	cmd := a.withOutput(a.asClient(&cobra.Command{
		Use: "chat [prompt]", Short: "Talk to an agent of a running server", Long: chatLong,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, "%s takes one prompt, and got %d", cmd.CommandPath(), len(args)).
					WithTry("quote it: ak chat %q", strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if f.session == "" && terminal(a.err) {
					defer func() { a.sessionHint(f.session) }()
				}
				return a.ask(cmd.Context(), c, &f, args[0])
			}
			if f.key != "" {
				return usage(cmd, "--key is for one prompt, and none was given")
			}
			return a.lines(cmd.Context(), c, &f)
		},
	}))
	cmd.Flags().StringVar(&f.session, "session", "", "`id` of the session to go on with (default: a new one)")
	cmd.Flags().StringVar(&f.agent, "agent", "", "`name` of the agent (default: the server's first)")
	cmd.Flags().StringVar(&f.key, "key", "", "idempotency `key`: the same key and prompt is the same turn, however often it is sent")
	return cmd
}

// lines asks what standard input says, line by line, in one session. A turn that fails ends neither the session nor the
// conversation at a terminal; in a script it ends the command.
func (a *app) lines(ctx context.Context, c *client, f *chatFlags) error {
	tty := terminal(a.in)
	if tty {
		if _, err := c.get(ctx, "/api/v1/agents", nil); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(a.err, "One prompt a line; Ctrl-D ends.")
	}
	in := bufio.NewScanner(a.in)
	in.Buffer(make([]byte, 0, 64<<10), 2<<20)
	for {
		if tty {
			_, _ = fmt.Fprint(a.err, "> ")
		}
		if !in.Scan() {
			break
		}
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		err := a.ask(ctx, c, f, in.Text())
		if err != nil && (!tty || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			report(a.err, err)
		}
	}
	if err := in.Err(); err != nil {
		return fault.New(fault.BadRequest, "", "standard input cannot be read: %w", err)
	}
	if tty {
		a.sessionHint(f.session)
	}
	return ctx.Err()
}

func (a *app) sessionHint(id string) {
	if id != "" {
		_, _ = fmt.Fprintf(a.err, "(go on with: ak chat --session %s)\n", id)
	}
}

// ask sends one prompt and shows the answer. The session that it was answered in is kept in f.
func (a *app) ask(ctx context.Context, c *client, f *chatFlags, prompt string) error {
	body := map[string]string{"prompt": prompt}
	if f.session != "" {
		body["session_id"] = f.session
	}
	if f.agent != "" {
		body["agent"] = f.agent
	}
	key := f.key
	if key == "" { // so that a request whose answer was lost can be sent again
		key = "cli-" + rand.Text()
	}
	s := &stream{app: a, client: c, body: body, key: key}
	err := s.follow(ctx)
	if s.session != "" {
		f.session = s.session
	}
	switch {
	case errors.Is(err, context.Canceled) && s.turn != "":
		_, _ = fmt.Fprintf(a.err, "\nThe turn goes on without you. Look at it with: ak turns show %s\n", s.turn)
		return err
	case err != nil:
		return err
	case a.format == asJSON:
		return s.printTurn(ctx)
	}
	return nil
}
