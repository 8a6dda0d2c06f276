package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/sqlite"
)

func TestItKeepsTheContractOfStores(t *testing.T) {
	sessiontest.Run(t, sessiontest.Harness{
		Shared:  true,
		Durable: true,
		Place: func(tb testing.TB) func(context.Context) (session.Store, error) {
			path := filepath.Join(tb.TempDir(), "ak.db")
			return func(ctx context.Context) (session.Store, error) {
				return sqlite.Open(ctx, path, sqlite.Config{})
			}
		},
	})
}
