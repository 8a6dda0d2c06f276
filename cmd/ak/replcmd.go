package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
)

const replHelp = `!help          show this
!list          list the agents; * marks the one that is asked
!select AGENT  ask another agent, in the same session
!new           begin a new session with the next prompt
!clear         erase this session for good, after a confirmation, and begin a new one
!quit          leave; so does the end of the input
!!TEXT         ask !TEXT
`

// command does a line that begins with "!".
func (r *repl) command(ctx context.Context, text string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	if rest != "" && name != "select" {
		return fault.New(fault.BadRequest, "", "!%s takes nothing behind it", name).WithTry("!help, or !!%s to ask just that", text)
	}
	switch name {
	case "help":
		_, err := io.WriteString(r.app.out, replHelp)
		return err
	case "list":
		return r.list(ctx)
	case "select":
		return r.choose(ctx, rest)
	case "new":
		r.flags.session = ""
		r.note("(the next prompt begins a new session)")
		return nil
	case "clear":
		return r.clear(ctx)
	case "quit", "exit":
		r.over = true
		return nil
	}
	return fault.New(fault.BadRequest, "", "there is no command !%s", name).WithTry("!help, or !!%s to ask just that", text)
}

func (r *repl) list(ctx context.Context) error {
	var list server.AgentList
	if _, err := r.client.get(ctx, "/api/v1/agents", &list); err != nil {
		return err
	}
	rows := make([][]string, 0, len(list.Details))
	for _, d := range list.Details {
		mark := " "
		if d.Name == r.agent() {
			mark = "*"
		}
		rows = append(rows, []string{mark + " " + d.Name, d.Model, d.Description})
	}
	return table(r.app.out, "AGENT MODEL DESCRIPTION", rows)
}

// choose asks another agent from now on.
func (r *repl) choose(ctx context.Context, name string) error {
	var list server.AgentList
	if _, err := r.client.get(ctx, "/api/v1/agents", &list); err != nil {
		return err
	}
	if !slices.Contains(list.Agents, name) {
		return fault.New(fault.NotFound, "", "there is no agent %q", name).WithTry("!select %s", strings.Join(list.Agents, ", or !select "))
	}
	r.flags.agent = name
	r.note("(%s is asked from now on, in the same session; !new begins another)", name)
	return nil
}

// clear erases the session, if the next line confirms it.
func (r *repl) clear(ctx context.Context) error {
	id := r.flags.session
	if id == "" {
		r.note("(there is no session yet)")
		return nil
	}
	text, err := r.line(fmt.Sprintf("This erases session %s for good. Type erase to do it: ", id))
	switch {
	case errors.Is(err, io.EOF):
		r.over = true
	case err != nil:
		return err
	}
	if strings.TrimSpace(text) != "erase" {
		return fault.New(fault.BadRequest, "", "session %s was not erased: the word erase did not follow !clear", id).WithTry("!clear, and erase in the next line")
	}
	_, err = r.client.do(ctx, http.MethodDelete, "/api/v1/sessions/"+seg(id), nil)
	if k := fault.KindOf(err); err != nil && k != fault.NotFound && k != fault.Gone {
		return err
	}
	r.flags.session = ""
	r.note("(erased; the next prompt begins a new session)")
	return nil
}
