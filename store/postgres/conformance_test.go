package postgres

import (
	"context"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
)

func TestItKeepsTheContractOfStores(t *testing.T) {
	local := server(t)
	sessiontest.Run(t, sessiontest.Harness{
		Shared:  true,
		Durable: true,
		Place: func(tb testing.TB) func(context.Context) (session.Store, error) {
			url, schema := place(tb, local)
			return func(ctx context.Context) (session.Store, error) {
				return Open(ctx, url, Config{Schema: schema})
			}
		},
	})
}
