//go:build unix

package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/dynamodb"
)

// anyone are credentials that dynalite takes as it takes all.
type anyone struct{}

func (anyone) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
}

// The server keeps its tables in memory, so it is frozen and cut off, but not killed.
func TestHistoriesOnDynamoDBUnderPauseAndPartitionHaveAnOrder(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	server := servers.Dynalite(t)
	address := strings.TrimPrefix(server.Endpoint, "http://")
	made := 0
	open := func(w *wires) func(context.Context) (session.Store, error) {
		made++
		name := fmt.Sprint("history-", made)
		cfg := dynamodb.Config{Region: "eu-west-1", Endpoint: server.Endpoint, Credentials: anyone{}}
		s, err := dynamodb.Open(t.Context(), name, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context) (session.Store, error) {
			mine := cfg
			if w != nil {
				addr, err := w.next()
				if err != nil {
					return nil, err
				}
				mine.Endpoint = "http://" + addr
			}
			return dynamodb.Open(ctx, name, mine)
		}
	}
	victim{
		store: "dynamodb (dynalite)", by: "SIGSTOP of the server", rounds: 3, open: open(nil),
		faults: one("pause", func(int) func() { server.Freeze(); return server.Thaw }),
	}.endure(t, table)
	w := newWires(t, address)
	victim{store: "dynamodb (dynalite)", by: "toxiproxy before each handle", rounds: 2, faults: w.faults(), open: open(w)}.endure(t, table)
}
