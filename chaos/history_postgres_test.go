//go:build unix

package chaos

import (
	"context"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/postgres"
)

func TestHistoriesOnPostgreSQLUnderKillPauseAndPartitionHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	server := servers.Postgres(t)
	open := func(schema string) func(context.Context) (session.Store, error) {
		return func(ctx context.Context) (session.Store, error) {
			return postgres.Open(ctx, server.URL(), postgres.Config{Schema: schema})
		}
	}
	victim{
		store: "postgres", by: "kill -9 of all processes and start of the server", rounds: 3, open: open("kill"),
		faults: one("kill", func(int) func() { server.Kill(); return server.Start }),
	}.endure(t, table)
	victim{
		store: "postgres", by: "SIGSTOP of all processes of the server", rounds: 3, open: open("pause"),
		faults: one("pause", func(int) func() { server.Freeze(); return server.Thaw }),
	}.endure(t, table)
	w := newWires(t, server.Address())
	victim{
		store: "postgres", by: "toxiproxy before each handle", rounds: 2, faults: w.faults(),
		open: func(ctx context.Context) (session.Store, error) {
			addr, err := w.next()
			if err != nil {
				return nil, err
			}
			return postgres.Open(ctx, strings.Replace(server.URL(), server.Address(), addr, 1), postgres.Config{Schema: "cut"})
		},
	}.endure(t, table)
}
