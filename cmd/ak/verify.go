package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

const verifyLong = `verify reads every session of the configured store and checks that its records are the ones that were written, that
each follows the one before it (a chain of hashes), and that together they make a state that can be. Where the oldest
records were trimmed, the snapshot that stands for them is read, and what follows it is checked. It changes nothing and
may run beside a server. It names each session that is not sound and then exits with code 1.`

func (a *app) verifyCommand() *cobra.Command {
	var only string
	cmd := a.withOutput(&cobra.Command{
		Use: "verify", Short: "Check the journals of all sessions", Long: verifyLong, Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("session") {
				if err := session.CheckID("--session", only); err != nil {
					return err
				}
			}
			store, err := a.openExisting(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = store.Close() }()
			return a.verify(cmd.Context(), store, only)
		},
	})
	cmd.Flags().StringVar(&only, "session", "", "check only the session with this `id`")
	return cmd
}

// openExisting opens the configured store, and never makes one.
func (a *app) openExisting(cmd *cobra.Command) (session.Store, error) {
	cfg, err := a.load(cmd, nil)
	if err != nil {
		return nil, err
	}
	return openThere(cmd.Context(), cfg)
}

// openThere opens the store of a configuration if it is there.
func openThere(ctx context.Context, cfg *config.Config) (session.Store, error) {
	switch cfg.Session.Type {
	case config.InMemory:
		return nil, fault.New(fault.BadRequest, "", "a store of type %s is not outside the process that has it", cfg.Session.Type).
			WithTry("session.type: sqlite")
	case config.SQLite:
	default: // opening one makes nothing
		return openStore(ctx, cfg)
	}
	path := cfg.Session.SQLite.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "", "there is no store at %s", path).
			WithTry("run it in the folder in which the server runs, or name the store's file: --set session.sqlite.path=FILE")
	}
	return sqlite.Open(ctx, path, sqlite.Config{Readers: 1})
}

// verdict is what was found about one session.
type verdict struct {
	Session string `json:"session_id"`
	Tenant  string `json:"tenant,omitempty"`
	Records uint64 `json:"records"`           // those that are kept
	Trimmed uint64 `json:"trimmed,omitempty"` // those that a snapshot stands for
	Turns   int    `json:"turns"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

// summary is what was found in a store.
type summary struct {
	Sessions int       `json:"sessions"`
	Records  uint64    `json:"records"`
	Trimmed  uint64    `json:"trimmed"`
	Bad      []verdict `json:"bad"`
}

func (a *app) verify(ctx context.Context, store session.Store, only string) error {
	all := summary{Bad: []verdict{}}
	take := func(h session.Head) {
		v := verifySession(ctx, store, h)
		all.Sessions++
		all.Records += v.Records
		all.Trimmed += v.Trimmed
		if !v.OK {
			all.Bad = append(all.Bad, v)
		}
	}
	if err := eachHead(ctx, store, only, take); err != nil {
		return err
	}
	if err := a.showSummary(all); err != nil {
		return err
	}
	if len(all.Bad) > 0 {
		return &exitError{fault.ExitFailed}
	}
	return nil
}

// eachHead calls f for the sessions of the store, whoever's they are, or for those with one id.
func eachHead(ctx context.Context, store session.Store, only string, f func(session.Head)) error {
	tenants, err := store.Tenants(ctx)
	if err != nil {
		return storeError(err)
	}
	found := false
	for _, tenant := range tenants {
		if only == "" {
			if err := eachOf(ctx, store, tenant, f); err != nil {
				return err
			}
			continue
		}
		heads, err := store.Heads(ctx, []session.Key{{Tenant: tenant, ID: only}})
		if err != nil {
			return storeError(err)
		}
		if heads[0].Len > 0 {
			found = true
			f(heads[0])
		}
	}
	if only != "" && !found {
		return fault.New(fault.NotFound, "", "there is no session %s", only).WithTry("ak sessions ls")
	}
	return ctx.Err()
}

// eachOf calls f for the sessions of one tenant.
func eachOf(ctx context.Context, store session.Store, tenant string, f func(session.Head)) error {
	for q := (session.Query{Tenant: tenant, Limit: 500}); ; {
		heads, err := store.List(ctx, q)
		if err != nil {
			return storeError(err)
		}
		for _, h := range heads {
			f(h)
		}
		if len(heads) < q.Limit {
			return ctx.Err()
		}
		q.After = heads[len(heads)-1].Key.ID
	}
}

func storeError(err error) error {
	if isFault(err) && fault.Try(err) != "" {
		return err
	}
	kind := fault.Unavailable
	if isFault(err) {
		kind = fault.KindOf(err)
	}
	return fault.New(kind, "", "the store cannot be read: %s", text(err)).WithTry("ak doctor, and look at where the section session points to")
}

func (a *app) showSummary(all summary) error {
	if a.format == asJSON {
		return printValue(a.out, all)
	}
	for _, v := range all.Bad {
		name := session.Key{Tenant: v.Tenant, ID: v.Session}.String()
		_, _ = fmt.Fprintf(a.out, "BAD  %s: %s\n", printable(name), printable(v.Error))
	}
	_, err := fmt.Fprintf(a.out, "%d session(s), %d record(s): %d sound, %d not\n", all.Sessions, all.Records, all.Sessions-len(all.Bad), len(all.Bad))
	return err
}
