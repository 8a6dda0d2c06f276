// Command ak serves agents from a configuration file and talks to a server that does.
//
// It is wiring: each subcommand is one file, and everything that it does is done by the packages of this module.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
)

func main() { os.Exit(Main()) }

// Main runs the command that the process's arguments name and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, interrupts: stop}
	err := a.command().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	report(a.err, err)
	return exitCode(err)
}

// exitCode is what a shell sees of an error.
func exitCode(err error) int {
	var quiet *exitError
	if errors.As(err, &quiet) {
		return quiet.code
	}
	return fault.KindOf(err).Trait().Exit
}

// exitError ends the command with a code after everything was said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// report writes an error once: what happened and why, then what to try.
func report(w io.Writer, err error) {
	var quiet *exitError
	if errors.As(err, &quiet) {
		return
	}
	if errors.Is(err, context.Canceled) && !isFault(err) {
		_, _ = fmt.Fprintln(w, "Interrupted.")
		return
	}
	var problems config.Problems
	if errors.As(err, &problems) { // each has its own advice
		_, _ = fmt.Fprintln(w, "Error: "+problems.Error())
		return
	}
	_, _ = fmt.Fprintln(w, "Error: "+text(err))
	if try := fault.Try(err); try != "" {
		_, _ = fmt.Fprintln(w, "Try: "+try)
	}
}

func isFault(err error) bool {
	var f *fault.Error
	return errors.As(err, &f)
}

// text is an error without the name of the operation in front, which means something to developers only.
func text(err error) string {
	f, ok := err.(*fault.Error)
	if !ok {
		return err.Error()
	}
	c := *f
	c.Op = ""
	return strings.TrimSpace(c.Error())
}
