package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentkernel/agentkernel/session"
)

// Examine judges the server's settings; see session.Examiner. It makes and changes nothing.
func (s *Store) Examine(ctx context.Context) ([]session.Finding, error) {
	const op = "postgres.Examine"
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, `SELECT name, setting, coalesce(reset_val, '') FROM pg_settings WHERE name IN
		('fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'server_version', 'max_connections', 'autovacuum', 'data_checksums')`)
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	e := examination{now: map[string]string{}, usual: map[string]string{}, cfg: s.cfg, conns: s.pool.Config().MaxConns}
	var name, setting, usual string
	_, err = pgx.ForEachRow(rows, []any{&name, &setting, &usual}, func() error {
		e.now[name], e.usual[name] = setting, usual
		return nil
	})
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication").Scan(&e.followers); err != nil {
		return nil, classify(ctx, op, err)
	}
	e.settings()
	version, err := s.version(ctx, conn)
	switch {
	case err != nil:
		f := classify(ctx, op, err)
		e.add("schema", session.FindingFail, fmt.Sprintf("the schema %s cannot be used: %s", s.cfg.Schema, f.Error()), f.Try)
	case version == 0:
		e.add("schema", session.FindingOK, fmt.Sprintf("the schema %s is not there yet, the first use makes it", s.cfg.Schema), "")
	default:
		e.add("schema", session.FindingOK, fmt.Sprintf("the schema %s has version %d, this release knows %d", s.cfg.Schema, version, len(migrations)), "")
	}
	return e.found, nil
}

// examination collects findings about settings, as they are for this session and as they are for every new one.
type examination struct {
	now, usual map[string]string
	cfg        Config
	conns      int32
	followers  int // standbys that are connected, and backups under way
	found      []session.Finding
}

func (e *examination) add(check string, severity session.Severity, text, try string) {
	e.found = append(e.found, session.Finding{Check: check, Severity: severity, Text: text, Try: try})
}

// expect notes a setting that must have a value.
func (e *examination) expect(name, want string, otherwise session.Severity, loss, try string) {
	if e.now[name] == want {
		e.add(name, session.FindingOK, fmt.Sprintf("%s is %s", name, want), "")
		return
	}
	e.add(name, otherwise, fmt.Sprintf("%s is %q: %s", name, e.now[name], loss), try)
}

func (e *examination) settings() {
	e.add("version", session.FindingOK, "PostgreSQL "+e.now["server_version"], "")
	e.expect("fsync", "on", session.FindingFail, "when the machine stops, acknowledged turns are lost and the data may be damaged", "set fsync = on")
	e.expect("full_page_writes", "on", session.FindingWarn, "when the machine stops, pages may be torn, unless the file system prevents it", "set full_page_writes = on")
	e.expect("synchronous_commit", "on", session.FindingFail, "an acknowledged turn may be lost, although this store asked for more", "do not put a pooler in transaction mode between, or set synchronous_commit = on for the role")
	if usual := e.usual["synchronous_commit"]; usual != "on" && usual != "remote_apply" {
		e.add("synchronous_commit default", session.FindingOK, fmt.Sprintf("the default is %s, this store uses on", usual), "")
	}
	e.standby(e.now["synchronous_standby_names"])
	e.expect("autovacuum", "on", session.FindingWarn, "dead rows are never taken away", "set autovacuum = on")
	e.expect("data_checksums", "on", session.FindingWarn, "damage of the disk goes unnoticed", "run pg_checksums --enable while the server is down")
	var most int
	if _, err := fmt.Sscan(e.now["max_connections"], &most); err == nil && int(e.conns)+2 > most {
		e.add("max_connections", session.FindingWarn, fmt.Sprintf("the server takes %d connections, one replica may use %d", most, e.conns+2), "raise max_connections, or lower the store's")
	}
}

// standby compares what takes over with what the configuration says of it.
func (e *examination) standby(names string) {
	const check, lost = "standby", "a failover loses acknowledged turns"
	switch declared := e.cfg.Standby; {
	case names != "" && declared == SyncStandby:
		e.add(check, session.FindingOK, "commits wait for "+names, "")
	case names != "":
		e.add(check, session.FindingOK, "commits wait for "+names+", and the configuration says standby "+string(declared), "")
	case declared == SyncStandby:
		e.add(check, session.FindingWarn, "nothing shows that commits wait for a standby: synchronous_standby_names is empty",
			"set synchronous_standby_names, or see that the service replicates each commit below the server")
	case declared == AsyncStandby:
		e.add(check, session.FindingWarn, "commits do not wait for the standby: "+lost, "set synchronous_standby_names, and say standby sync")
	case e.followers > 0:
		e.add(check, session.FindingFail, fmt.Sprintf("the configuration says that there is no standby, and %d follow this server without being waited for: %s", e.followers, lost),
			"say standby async, or set synchronous_standby_names and say standby sync")
	default:
		e.add(check, session.FindingOK, "there is none", "")
	}
}
