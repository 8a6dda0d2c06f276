package dynamodb

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

func TestItKeepsTheContractOfStores(t *testing.T) {
	cfg := with(place(t), sizes(t))
	lag := time.Duration(0)
	if os.Getenv(tableEnv) != "" {
		lag = 5 * time.Second // a real index is eventually consistent
	}
	sessiontest.Run(t, sessiontest.Harness{
		Shared: true, Durable: true, AgendaLag: lag,
		Place: func(tb testing.TB) func(context.Context) (session.Store, error) {
			table := newTable(tb, cfg)
			return func(ctx context.Context) (session.Store, error) { return Open(ctx, table, cfg) }
		},
	})
}
