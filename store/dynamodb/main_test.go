package dynamodb

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	"go.uber.org/goleak"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
)

// The variables that make these tests run against another server, which may be AWS itself: a URL, empty for the region's
// own, and the beginning of the names of the tables that are made there and deleted again.
const (
	endpointEnv = "AK_TEST_DYNAMODB_ENDPOINT"
	tableEnv    = "AK_TEST_DYNAMODB_TABLE"
)

var tables atomic.Int64 // how many were made

// canary is the secret key of the tests. No error may show it.
const canary = "canary-secret-access-key"


func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/agentkernel/agentkernel/internal/servers.init.func1.1")) // lives as long as the process
}

type fixed struct{}

func (fixed) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDCANARY", SecretAccessKey: canary}, nil
}

// place names the server that a test talks to, and starts one that lives as long as the test, unless another one is given.
func place(tb testing.TB) Config {
	tb.Helper()
	url, prefix := os.Getenv(endpointEnv), os.Getenv(tableEnv)
	if prefix != "" {
		return Config{Endpoint: url}
	}
	return Config{Endpoint: servers.Dynalite(tb).Endpoint, Region: "eu-west-1", Credentials: fixed{}}
}

// newTable makes a table of its own and returns its name. It is deleted when the test ends.
func newTable(tb testing.TB, cfg Config) string {
	tb.Helper()
	prefix := os.Getenv(tableEnv)
	if prefix == "" {
		prefix = "ak-test"
	}
	name := fmt.Sprintf("%s-%d-%d", prefix, os.Getpid(), tables.Add(1))
	s := open(tb, name, cfg)
	if _, err := s.Init(tb.Context()); err != nil {
		tb.Fatalf("init: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := Open(ctx, name, Config{Endpoint: cfg.Endpoint, Region: cfg.Region, Credentials: cfg.Credentials})
		if err != nil {
			tb.Error(err)
			return
		}
		defer s.Close()
		if _, err := call(ctx, s, always, (*dynamodb.Client).DeleteTable, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
			tb.Error(err)
		}
	})
	return name
}

// open opens a handle that is closed when the test ends.
func open(tb testing.TB, table string, cfg Config) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), table, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// with adds middleware to a Config.
func with(cfg Config, options ...func(*middleware.Stack) error) Config {
	cfg.APIOptions = append(append([]func(*middleware.Stack) error(nil), cfg.APIOptions...), options...)
	return cfg
}

func record(at session.Position, data []byte) session.Record {
	life := at.Life
	if at.Len == 0 {
		life++
	}
	return session.Record{Life: life, Seq: at.Len + 1, ID: fmt.Sprintf("%d.%d.%s", life, at.Len+1, nonce()), Data: data}
}
