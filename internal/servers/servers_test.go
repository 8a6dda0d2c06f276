//go:build unix

package servers_test

import (
	"fmt"
	"testing"

	"github.com/agentkernel/agentkernel/internal/servers"
)

func TestAKilledPostgresStartsAgainOnItsData(t *testing.T) {
	p := servers.Postgres(t)
	first := p.PID()
	p.Kill()
	p.Start() // which returns when it answers
	if p.PID() == first || p.PID() == 0 {
		t.Errorf("the process is %d again", first)
	}
	p.Freeze() // and the end of the test ends a frozen one
}

func TestHAProxyListensWhereItIsTold(t *testing.T) {
	port := servers.Port(t)
	p := servers.HAProxy(t, fmt.Sprintf("defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\nfrontend f\n bind 127.0.0.1:%d\n http-request return status 204\n", port))
	if err := servers.Listens(fmt.Sprintf("127.0.0.1:%d", port))(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, p.Log())
	}
}
