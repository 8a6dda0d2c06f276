package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// storeTime bounds a question to a store that should have an answer at once.
const storeTime = 10 * time.Second

const storeInitLong = `init makes what the configured store lacks: a table and its index, a schema, a file. It leaves alone what is there, so it
may be called again, and by several at once. A large table may take minutes. Who serves needs fewer rights afterwards.`

const storeInfoLong = `info says what the configured store is: its format, how often it was restored (generation), and what each fault may cost.
The column LOSES says what is lost of the writes that the store has acknowledged: nothing, the newest (recent), everything
(all), what no backup has (operator), or that there is no such fault (n/a). SHOWN_BY is the test that shows it, or who
declares it. info changes nothing and may run beside a server.`

func (a *app) storeCommand() *cobra.Command {
	return a.group(
		"store", "Prepare and describe the configured store",
		a.withOutput(&cobra.Command{
			Use: "init", Short: "Make what the configured store lacks", Long: storeInitLong, Args: a.noArgs,
			RunE: a.withStore((*app).openToInit, (*app).initStore),
		}),
		a.withOutput(&cobra.Command{
			Use: "info", Short: "Say what the configured store is and what it may lose", Long: storeInfoLong, Args: a.noArgs,
			RunE: a.withStore((*app).openToLook, (*app).describeStore),
		}),
	)
}

// withStore opens a store, and closes it after do.
func (a *app) withStore(open func(*app, *cobra.Command) (session.Store, error), do func(*app, context.Context, session.Store) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		store, err := open(a, cmd)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		return do(a, cmd.Context(), store)
	}
}

func (a *app) openToInit(cmd *cobra.Command) (session.Store, error) {
	cfg, err := a.load(cmd, nil)
	if err != nil {
		return nil, err
	}
	a.warn(cfg)
	return openStore(cmd.Context(), cfg)
}

// openToLook opens the configured store without making one. A store in memory is there to be described.
func (a *app) openToLook(cmd *cobra.Command) (session.Store, error) {
	cfg, err := a.load(cmd, nil)
	if err != nil {
		return nil, err
	}
	if cfg.Session.Type == config.InMemory {
		return openStore(cmd.Context(), cfg)
	}
	return openThere(cmd.Context(), cfg)
}

// initReply is what ak store init did.
type initReply struct {
	Store string   `json:"store"`
	Did   []string `json:"did"`
	Ready bool     `json:"ready"`
}

func (a *app) initStore(ctx context.Context, store session.Store) error {
	reply := initReply{Store: store.Durability().Store, Did: []string{}}
	if i, ok := store.(session.Initializer); ok {
		did, err := i.Init(ctx)
		reply.Did = append(reply.Did, did...)
		if err != nil {
			a.sayDone(reply) // what was made stays made
			return initError(err)
		}
	}
	meta, err := metaOf(ctx, store)
	if err != nil {
		a.sayDone(reply)
		return err
	}
	reply.Ready = true
	if a.format == asJSON {
		return printValue(a.out, reply)
	}
	a.sayDone(reply)
	if len(reply.Did) == 0 {
		_, _ = fmt.Fprintln(a.out, "nothing to do")
	}
	_, err = fmt.Fprintf(a.out, "the %s store is ready: format %d, generation %d\n", reply.Store, meta.Format, meta.Generation)
	return err
}

// initError is why a store could not be made ready.
func initError(err error) error {
	if isFault(err) && fault.Try(err) != "" {
		return err
	}
	return fault.New(fault.KindOf(err), "", "the store cannot be made ready: %s", text(err)).WithTry("ak doctor, and look at where the section session points to")
}

// sayDone writes what was done, one sentence a line.
func (a *app) sayDone(r initReply) {
	if a.format == asJSON {
		if !r.Ready {
			_ = printValue(a.out, r)
		}
		return
	}
	for _, line := range r.Did {
		_, _ = fmt.Fprintln(a.out, printable(line))
	}
}

// metaOf asks a store what was fixed when it was made, and so whether it answers.
func metaOf(ctx context.Context, store session.Store) (session.Meta, error) {
	ctx, stop := context.WithTimeout(ctx, storeTime)
	defer stop()
	meta, err := store.Meta(ctx)
	if err != nil {
		return meta, silent(ctx, storeError(err))
	}
	want := meta // only the format is judged: the store itself compares the rest
	want.Format = session.StoreFormat
	return meta, meta.Check(want)
}

// silent is err, or in plain words that the store did not answer in time.
func silent(ctx context.Context, err error) error {
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fault.New(fault.Unavailable, "", "the store did not answer within %s", storeTime).
		WithTry("check where session.type and its section point to, and whether a firewall is between")
}

// storeInfo is what ak store info says.
type storeInfo struct {
	Meta       session.Meta       `json:"meta"`
	Durability session.Durability `json:"durability"`
}

func (a *app) describeStore(ctx context.Context, store session.Store) error {
	meta, err := metaOf(ctx, store)
	if err != nil {
		return err
	}
	d := store.Durability()
	if a.format == asJSON {
		return printValue(a.out, storeInfo{meta, d})
	}
	_, _ = fmt.Fprintf(a.out, "%s: %s\n", printable(d.Store), printable(d.Level))
	_, _ = fmt.Fprintf(a.out, "format %d, generation %d, %d part(s) of the agenda", meta.Format, meta.Generation, meta.Buckets)
	if meta.Prefix != "" {
		_, _ = fmt.Fprintf(a.out, ", prefix %s", printable(meta.Prefix))
	}
	_, _ = fmt.Fprintf(a.out, "\neach append costs %d write(s) at most, and %d read(s)\n", d.AppendWrites, d.AppendReadBacks)
	if d.Note != "" {
		_, _ = fmt.Fprintln(a.out, printable(d.Note))
	}
	_, _ = fmt.Fprintln(a.out)
	rows := [][]string{}
	for _, f := range d.Faults() {
		rows = append(rows, []string{f.Fault, string(f.Loses), f.Shown})
	}
	return table(a.out, "FAULT LOSES SHOWN_BY", rows)
}

// storePlace says where sessions are, for people; passwords are masked.
func storePlace(cfg *config.Config) string {
	switch s := cfg.Session; s.Type {
	case config.SQLite:
		return s.SQLite.Path
	case config.Redis:
		return s.Redis.URL.String()
	case config.DynamoDB:
		return "the DynamoDB table " + s.DynamoDB.TableName
	case config.Postgres:
		return s.Postgres.URL.String()
	}
	return "memory, until the process ends"
}
