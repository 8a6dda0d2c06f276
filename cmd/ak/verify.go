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
each follows the one before it (a chain of hashes), and that together they make a state that can be. It changes nothing
and may run beside a server. It names each session that is not sound and then exits with code 1.`

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
	if cfg.Session.Type != config.SQLite {
		return nil, fault.New(fault.BadRequest, "", "a store of type %s is not outside the process that has it", cfg.Session.Type).
			WithTry("session.type: sqlite")
	}
	path := cfg.Session.SQLite.Path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "", "there is no store at %s", path).
			WithTry("run it in the folder in which the server runs, or name the store's file: --set session.sqlite.path=FILE")
	}
	return sqlite.Open(cmd.Context(), path, sqlite.Config{Readers: 1})
}

// verdict is what was found about one session.
type verdict struct {
	Session string `json:"session_id"`
	Records uint64 `json:"records"`
	Turns   int    `json:"turns"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

// summary is what was found in a store.
type summary struct {
	Sessions int       `json:"sessions"`
	Records  uint64    `json:"records"`
	Bad      []verdict `json:"bad"`
}

func (a *app) verify(ctx context.Context, store session.Store, only string) error {
	all := summary{Bad: []verdict{}}
	take := func(h session.Head) {
		v := verifySession(ctx, store, h)
		all.Sessions++
		all.Records += v.Records
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

// eachHead calls f for the sessions of the store, or for one.
func eachHead(ctx context.Context, store session.Store, only string, f func(session.Head)) error {
	if only != "" {
		heads, err := store.Heads(ctx, []session.Key{{ID: only}})
		if err != nil {
			return storeError(err)
		}
		if heads[0].Len == 0 {
			return fault.New(fault.NotFound, "", "there is no session %s", only).WithTry("ak sessions ls")
		}
		f(heads[0])
		return nil
	}
	for q := (session.Query{Limit: 500}); ; {
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
	if isFault(err) {
		return err
	}
	return fault.New(fault.Unavailable, "", "the store cannot be read: %w", err)
}

// verifySession follows a journal from its first record to its head. What is appended meanwhile is not looked at.
func verifySession(ctx context.Context, store session.Store, h session.Head) verdict {
	v := verdict{Session: h.Key.ID}
	s := &session.Session{Key: h.Key}
	at := session.Position{Life: h.Life - 1} // the place in front of this life
	err := func() error {
		for at.Len < h.Len {
			head, records, err := store.Read(ctx, h.Key, at.Len, 1000)
			switch {
			case errors.Is(err, session.ErrTrimmed):
				return fault.New(fault.Unsupported, "", "its oldest records were trimmed, and this release checks whole journals only")
			case err != nil:
				return err
			case head.Life != h.Life:
				return nil // erased meanwhile
			case len(records) == 0:
				return fault.New(fault.Corrupt, "", "the head says that there are %d records, and there are %d", h.Len, at.Len)
			}
			if at, err = session.Verify(at, records); err != nil {
				return err
			}
			for _, r := range records {
				if err := s.Apply(r); err != nil {
					return err
				}
				if r.Seq == h.Len && r.ID != h.LastID {
					return fault.New(fault.Corrupt, "", "record %d is not the one that the head names", r.Seq)
				}
			}
		}
		return nil
	}()
	v.Records, v.Turns, v.OK = at.Len, len(s.Turns), err == nil
	if err != nil {
		v.Error = text(err)
	}
	return v
}

func (a *app) showSummary(all summary) error {
	if a.format == asJSON {
		return printValue(a.out, all)
	}
	for _, v := range all.Bad {
		_, _ = fmt.Fprintf(a.out, "BAD  %s: %s\n", printable(v.Session), printable(v.Error))
	}
	_, err := fmt.Fprintf(a.out, "%d session(s), %d record(s): %d sound, %d not\n", all.Sessions, all.Records, all.Sessions-len(all.Bad), len(all.Bad))
	return err
}
