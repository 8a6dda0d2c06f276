package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentkernel/agentkernel/fault"
)

// Config tunes a store. The zero value works.
type Config struct {
	Schema         string        // the schema that holds the tables; empty means "agentkernel"
	MaxConns       int32         // connections of this process, at most, without the two for hints; 0 means pool_max_conns of the URL, else 16
	ConnectTimeout time.Duration // for making one connection; 0 means connect_timeout of the URL, else 5 s

	// Standby declares what takes over when the server dies; empty means NoStandby. Examine compares it with what the
	// server says.
	Standby Standby

	tracer pgx.QueryTracer // for tests
}

// Standby is what takes over when the server dies.
type Standby string

const (
	NoStandby    Standby = "none"  // nothing: the server comes back with its disk
	SyncStandby  Standby = "sync"  // one that every commit waits for, so that a failover loses nothing
	AsyncStandby Standby = "async" // one that lags behind, so that a failover loses the newest commits
)

const (
	defaultSchema   = "agentkernel"
	defaultConns    = 16
	defaultConnect  = 5 * time.Second
	maxIdentifier   = 63 // bytes, of PostgreSQL
	abandonedAfter  = "30s"
	serverErrorHint = "look into the server's log"
)

// check fills in defaults and reports everything that is wrong at once.
func (c Config) check() (Config, error) {
	var problems []error
	if c.Schema == "" {
		c.Schema = defaultSchema
	}
	if len(c.Schema) > maxIdentifier || strings.ContainsRune(c.Schema, 0) || strings.HasPrefix(c.Schema, "pg_") {
		problems = append(problems, fmt.Errorf("config: Schema must have at most %d bytes and not begin with \"pg_\", it is %.80q", maxIdentifier, c.Schema))
	}
	switch c.Standby {
	case "":
		c.Standby = NoStandby
	case NoStandby, SyncStandby, AsyncStandby:
	default:
		problems = append(problems, fmt.Errorf("config: Standby must be none, sync or async, it is %.80q", c.Standby))
	}
	if c.MaxConns < 0 {
		problems = append(problems, fmt.Errorf("config: MaxConns must not be negative, it is %d", c.MaxConns))
	}
	if c.ConnectTimeout < 0 {
		problems = append(problems, fmt.Errorf("config: ConnectTimeout must not be negative, it is %s", c.ConnectTimeout))
	}
	return c, errors.Join(problems...)
}

// Open prepares a store in the database that url names, as "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…" or
// in the "host=… user=…" form; several hosts may be named, and the one that takes writes is used. It does not connect:
// a server that is down shows when the store is used, and is found again when it is back. The only errors are those that
// time does not heal: a *fault.Error of kind Config for a url or a Config that cannot be used. They never hold the url.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	const op = "postgres.Open"
	cfg, err := cfg.check()
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Config, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.KindOf(err), Err: err}
	}
	pc, err := parse(url)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.MaxConns > 0:
		pc.MaxConns = cfg.MaxConns
	case !strings.Contains(url, "pool_max_conns"):
		pc.MaxConns = defaultConns
	}
	switch {
	case cfg.ConnectTimeout > 0:
		pc.ConnConfig.ConnectTimeout = cfg.ConnectTimeout
	case pc.ConnConfig.ConnectTimeout <= 0 || !strings.Contains(url, "connect_timeout"):
		pc.ConnConfig.ConnectTimeout = defaultConnect
	}
	pc.MinConns, pc.MinIdleConns = 0, 0 // nothing is done before the store is used
	pc.PingTimeout = pc.ConnConfig.ConnectTimeout
	pc.AfterConnect = setUp
	pc.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	pc.ConnConfig.OnNotice = onNotice
	pc.ConnConfig.Tracer = cfg.tracer
	s := &Store{cfg: cfg, conn: pc.ConnConfig.Copy(), preparing: make(chan struct{}, 1)}
	schema := pgx.Identifier{cfg.Schema}.Sanitize()
	for i, sql := range statements {
		s.sql[i] = strings.ReplaceAll(sql, "{s}", schema)
	}
	sum := sha256.Sum256([]byte(cfg.Schema))
	s.channel = "agentkernel_" + hex.EncodeToString(sum[:8])
	s.self = rand.Text()
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), pc); err != nil {
		return nil, fault.New(fault.Config, op, "the connections cannot be set up: %s", scrub(err))
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.news.s, s.watch.s = s, s
	s.news.wake = make(chan struct{}, 1)
	return s, nil
}

// parse reads a url. What pgx says about a wrong one may hold any part of it, and so a password: it is not repeated.
func parse(url string) (*pgxpool.Config, error) {
	const op, try = "postgres.Open", "write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with reserved characters of the password as %%XX"
	if strings.TrimSpace(url) == "" {
		return nil, fault.New(fault.Config, op, "the URL of the PostgreSQL database is empty").WithTry(try)
	}
	pc, err := pgxpool.ParseConfig(url)
	if err == nil {
		return pc, nil
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fault.New(fault.Config, op, "the URL of the PostgreSQL database names a file, of a certificate or a service, that cannot be read").
			WithTry("look at sslrootcert, sslcert, sslkey, passfile and servicefile")
	}
	return nil, fault.New(fault.Config, op, "the URL of the PostgreSQL database cannot be read (it is not shown, for it may hold a password)").WithTry(try)
}

// setUp makes a new connection ours: a commit is on the disk, and on the synchronous standbys if there are any, before it
// is answered, whatever the server's default is; guards are compared again after a wait for another writer; and a
// transaction that lost its client does not keep its locks for long.
func setUp(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false),
		set_config('default_transaction_isolation', 'read committed', false),
		set_config('idle_in_transaction_session_timeout', '`+abandonedAfter+`', false)`)
	return err
}
