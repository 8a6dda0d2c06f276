package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

func TestMain(m *testing.M) {
	first := exec.Command("true") // the goroutine that starts servers stays
	if err := servers.Start(first); err != nil {
		panic(err)
	}
	_ = first.Wait()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// open opens a store that is closed with the test.
func open(tb testing.TB, url string, cfg Config) *Store {
	tb.Helper()
	s, err := Open(context.Background(), url, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// raw runs statements on the server behind the store's back.
func raw(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, q := range statements {
		if _, err := conn.Exec(context.Background(), q); err != nil {
			tb.Fatalf("%s: %v", q, err)
		}
	}
}

// place is a server and a schema of its own: of the server that the environment names, where it names one.
func place(tb testing.TB, local *servers.PostgresServer) (url, schema string) {
	tb.Helper()
	if local != nil {
		return local.URL(), "s" + unique()
	}
	url, schema = os.Getenv(servers.PostgresURL), "agentkernel_test_"+unique()
	tb.Cleanup(func() { raw(tb, url, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") })
	return url, schema
}

// server starts a server, unless the environment names one.
func server(tb testing.TB) *servers.PostgresServer {
	if os.Getenv(servers.PostgresURL) != "" {
		return nil
	}
	return servers.Postgres(tb)
}

// quick starts a server that does not sync, for tests in which no machine stops.
func quick(tb testing.TB) *servers.PostgresServer {
	return servers.Postgres(tb, "fsync=off")
}

func unique() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return hex.EncodeToString(sum[:6])
}

// record makes the record that follows at.
func record(at session.Position, what string) session.Record {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	data := fmt.Appendf(nil, `{"life":%d,"seq":%d,"prev":%q,"what":%q}`, life, at.Len+1, at.LastID, what)
	sum := sha256.Sum256(data)
	return session.Record{Life: life, Seq: at.Len + 1, ID: hex.EncodeToString(sum[:16]), Data: data}
}
