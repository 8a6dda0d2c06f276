package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const chatLong = `chat asks an agent and shows its answer as it comes. With a prompt it asks once. Without one it reads prompts from
standard input, one a line, in one session; lines that begin with "!" are commands, and !help lists them. It needs a
server that runs: ak serve.

At a terminal Ctrl-C cancels the running turn, and leaves when nothing runs. A turn that waits for approval shows the call
and asks; what is neither yes nor no leaves it waiting. From a pipe it is the same without prompts: an error is written and
the next line is read, and the exit code is that of the last error.

A request that was taken is never lost: if the server goes away in the middle, chat waits up to 30 s for it to come back
and goes on where it was.`

// chatFlags are the flags of ak chat.
type chatFlags struct {
	session, agent, key string
	files               []string
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
		RunE: func(cmd *cobra.Command, args []string) error { return a.chat(cmd, &f, args) },
	}))
	flags := cmd.Flags()
	flags.StringVar(&f.session, "session", "", "`id` of the session to go on with (default: a new one)")
	flags.StringVar(&f.agent, "agent", "", "`name` of the agent (default: the server's first)")
	flags.StringVar(&f.key, "key", "", "idempotency `key`: the same key and prompt is the same turn, however often it is sent")
	flags.StringArrayVar(&f.files, "file", nil, "image or document at `path` to send with the prompt; may be repeated")
	a.complete(cmd, "agent", completeAgents)
	a.complete(cmd, "session", completeSessions)
	return cmd
}

func (a *app) chat(cmd *cobra.Command, f *chatFlags, args []string) error {
	if len(args) == 0 && f.key != "" {
		return usage(cmd, "--key is for one prompt, and none was given")
	}
	if len(args) == 0 && len(f.files) > 0 {
		return usage(cmd, "--file is for one prompt, and none was given")
	}
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return a.repl(cmd.Context(), c, f)
	}
	files, err := readFiles(f.files)
	if err != nil {
		return err
	}
	if f.session == "" && terminal(a.err) {
		defer func() { a.sessionHint(f.session) }()
	}
	s := a.newStream(c, f, args[0], files)
	err = s.follow(cmd.Context())
	if s.session != "" {
		f.session = s.session
	}
	return s.finish(cmd.Context(), err)
}

// newStream is a request that is not sent yet.
func (a *app) newStream(c *client, f *chatFlags, prompt string, files []chatFile) *stream {
	body := map[string]any{"prompt": prompt}
	if f.session != "" {
		body["session_id"] = f.session
	}
	if f.agent != "" {
		body["agent"] = f.agent
	}
	if len(files) > 0 {
		body["files"] = files
	}
	key := f.key
	if key == "" { // so that a request whose answer was lost can be sent again
		key = "cli-" + rand.Text()
	}
	return &stream{app: a, client: c, body: body, key: key}
}

// finish says what is left to say about a turn that was followed, whose end was err.
func (s *stream) finish(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, context.Canceled) && s.turn != "":
		_, _ = fmt.Fprintf(s.app.err, "\nThe turn goes on without you. Look at it with: ak turns show %s\n", s.turn)
		return err
	case err != nil:
		return err
	case s.app.format == asJSON:
		return s.printTurn(ctx)
	}
	return nil
}

func (a *app) sessionHint(id string) {
	if id != "" {
		_, _ = fmt.Fprintf(a.err, "(go on with: ak chat --session %s)\n", id)
	}
}
