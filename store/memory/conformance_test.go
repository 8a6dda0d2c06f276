package memory_test

import (
	"context"
	"testing"

	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/session/sessiontest"
	"github.com/agentkernel/agentkernel/store/memory"
)

func TestItKeepsTheContractOfStores(t *testing.T) {
	sessiontest.Run(t, sessiontest.Harness{
		Shared: true,
		Place: func(testing.TB) func(context.Context) (session.Store, error) {
			s := memory.New() // two kernels may share one value
			return func(context.Context) (session.Store, error) { return s, nil }
		},
	})
}
