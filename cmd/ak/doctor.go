package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

const doctorLong = `doctor looks for what would keep a server from running well here: the configuration, keys, the store (a probe session is
written, read and erased, and its server is asked how it is set up), disk, clocks, limits, the port, and what tools may reach. It calls nobody outside, except with
--online, when it also asks the addresses of the providers in use. It exits with 1 when something fails.`

func (a *app) doctorCommand() *cobra.Command {
	var online bool
	cmd := a.withOutput(&cobra.Command{
		Use: "doctor", Short: "Look for what would keep a server from running well", Long: doctorLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd, online) },
	})
	cmd.Flags().BoolVar(&online, "online", false, "ask the addresses of the providers too")
	return cmd
}

// States of a finding.
const (
	stateOK   = "ok"
	stateWarn = "warn"
	stateFail = "fail"
)

// finding is what one check found.
type finding struct {
	State string `json:"state"`
	Check string `json:"check"`
	What  string `json:"what"`
	Try   string `json:"try,omitempty"`
}

// doctor collects findings.
type doctor struct {
	cfg    *config.Config
	online bool
	all    []finding
	opened func(context.Context, *config.Config) (session.Store, error) // nil: openStore
}

// open opens the configured store.
func (d *doctor) open(ctx context.Context) (session.Store, error) {
	if d.opened != nil {
		return d.opened(ctx, d.cfg)
	}
	return openStore(ctx, d.cfg)
}

func (d *doctor) ok(check, format string, args ...any) {
	d.all = append(d.all, finding{stateOK, check, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, try, format string, args ...any) {
	d.all = append(d.all, finding{stateWarn, check, fmt.Sprintf(format, args...), try})
}

func (d *doctor) fail(check, try, format string, args ...any) {
	d.all = append(d.all, finding{stateFail, check, fmt.Sprintf(format, args...), try})
}

// failed is an error as findings, one for each of its problems.
func (d *doctor) failed(check string, err error) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		d.fail(check, fault.Try(err), "%s", text(err))
		return
	}
	for _, p := range problems {
		what := p.What
		if p.Where != "" {
			what = p.Where + ": " + what
		}
		if p.Why != "" {
			what += ": " + p.Why
		}
		d.fail(check, p.Try, "%s", what)
	}
}

func (a *app) doctor(cmd *cobra.Command, online bool) error {
	d := &doctor{online: online}
	cfg, err := a.load(cmd, nil)
	if err != nil {
		d.failed("configuration", err)
	} else {
		d.cfg = cfg
		d.look(cmd.Context())
	}
	return a.findings(d.all)
}

// look makes every check. None keeps the others from being made.
func (d *doctor) look(ctx context.Context) {
	d.checkConfig()
	d.checkProviders()
	d.checkTools(ctx)
	d.checkEgress()
	d.checkAccess()
	d.checkDisk()
	d.checkStore(ctx)
	d.checkClocks()
	d.checkLimits()
	d.checkPort(ctx)
	if d.online {
		d.checkOnline(ctx)
	}
}

// findings writes what was found; something that fails is exit code 1.
func (a *app) findings(all []finding) error {
	count := map[string]int{}
	for _, f := range all {
		count[f.State]++
	}
	if a.format == asJSON {
		if err := printValue(a.out, map[string]any{"ok": count[stateFail] == 0, "findings": all}); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			if err := a.finding(f); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(a.out, "%d ok, %d to look at, %d that fail\n", count[stateOK], count[stateWarn], count[stateFail]); err != nil {
			return err
		}
	}
	if count[stateFail] > 0 {
		return &exitError{fault.ExitFailed}
	}
	return nil
}

// finding writes one row, with what to try in a line of its own: it is often long.
func (a *app) finding(f finding) error {
	line := fmt.Sprintf("%-4s  %-13s  %s\n", f.State, f.Check, printable(f.What))
	if f.Try != "" {
		line += strings.Repeat(" ", 21) + "Try: " + printable(f.Try) + "\n"
	}
	_, err := fmt.Fprint(a.out, line)
	return err
}
