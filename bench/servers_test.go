//go:build unix

package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/agentkernel/agentkernel/internal/servers"
	"github.com/agentkernel/agentkernel/session"
	"github.com/agentkernel/agentkernel/store/dynamodb"
	"github.com/agentkernel/agentkernel/store/postgres"
	"github.com/agentkernel/agentkernel/store/redis"
)

func init() {
	kinds = append(kinds,
		kind{"redis", "XADD", makeRedis},
		kind{"postgres", "INSERT", makePostgres},
		kind{"dynamodb", "PutItem", makeDynamoDB},
	)
}

// manyConns is enough connections for the most writers of a benchmark.
const manyConns = 64

// makeRedis starts a server that syncs every write before it answers, as the other stores do.
func makeRedis(tb testing.TB) subject {
	tb.Helper()
	server := servers.Redis(tb, "--appendonly", "yes", "--appendfsync", "always")
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr, PoolSize: manyConns, MaxRetries: -1})
	tb.Cleanup(func() { _ = client.Close() })
	s := subject{
		raw: func(ctx context.Context, writer, n int, data []byte) error {
			return client.XAdd(ctx, &goredis.XAddArgs{Stream: "raw:" + strconv.Itoa(writer), ID: strconv.Itoa(n) + "-0", Values: []any{"d", data}}).Err()
		},
	}
	s.open = func(ctx context.Context) (session.Store, error) { return redis.Open(ctx, server.URL, redis.Config{}) }
	s.relayed = func(tb testing.TB) (session.Store, *relay, error) {
		r := newRelay(tb, server.Addr, redisFrames)
		store, err := redis.Open(context.Background(), "redis://"+r.addr, redis.Config{})
		return store, r, err
	}
	return s
}

func makePostgres(tb testing.TB) subject {
	tb.Helper()
	server := servers.Postgres(tb)
	cfg, err := pgxpool.ParseConfig(server.URL())
	if err != nil {
		tb.Fatal(err)
	}
	cfg.MaxConns = manyConns
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	if _, err := pool.Exec(tb.Context(), "CREATE TABLE raw (sid int, seq int, data bytea, PRIMARY KEY (sid, seq))"); err != nil {
		tb.Fatal(err)
	}
	s := subject{
		raw: func(ctx context.Context, writer, n int, data []byte) error {
			_, err := pool.Exec(ctx, "INSERT INTO raw VALUES ($1, $2, $3)", writer, n, data)
			return err
		},
	}
	s.open = func(ctx context.Context) (session.Store, error) {
		return postgres.Open(ctx, server.URL(), postgres.Config{})
	}
	s.relayed = func(tb testing.TB) (session.Store, *relay, error) {
		r := newRelay(tb, server.Address(), postgresFrames)
		store, err := postgres.Open(context.Background(), strings.Replace(server.URL(), server.Address(), r.addr, 1), postgres.Config{})
		return store, r, err
	}
	return s
}

// anyone are credentials that dynalite takes as it takes all.
type anyone struct{}

func (anyone) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
}

const (
	region   = "eu-west-1"
	tableFor = "sessions"
	rawTable = "raw"
)

// makeDynamoDB starts dynalite, which keeps its tables in memory: what it takes says nothing about AWS, the ratio and the
// number of requests do.
func makeDynamoDB(tb testing.TB) subject {
	tb.Helper()
	server := servers.Dynalite(tb)
	open := func(endpoint string) (*dynamodb.Store, error) {
		return dynamodb.Open(context.Background(), tableFor, dynamodb.Config{Region: region, Endpoint: endpoint, Credentials: anyone{}})
	}
	first, err := open(server.Endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := first.Init(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := first.Close(); err != nil {
		tb.Fatal(err)
	}
	client := awsdynamodb.New(awsdynamodb.Options{Region: region, BaseEndpoint: &server.Endpoint, Credentials: anyone{}})
	if _, err := client.CreateTable(tb.Context(), &awsdynamodb.CreateTableInput{
		TableName: aws.String(rawTable), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		tb.Fatal(err)
	}
	made := awsdynamodb.NewTableExistsWaiter(client, func(o *awsdynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 20*time.Millisecond, 200*time.Millisecond
	})
	if err := made.Wait(tb.Context(), &awsdynamodb.DescribeTableInput{TableName: aws.String(rawTable)}, time.Minute); err != nil {
		tb.Fatal(err)
	}
	s := subject{
		open: func(context.Context) (session.Store, error) { return open(server.Endpoint) },
		raw: func(ctx context.Context, writer, n int, data []byte) error {
			_, err := client.PutItem(ctx, &awsdynamodb.PutItemInput{TableName: aws.String(rawTable), Item: map[string]types.AttributeValue{
				"id": &types.AttributeValueMemberS{Value: fmt.Sprintf("%d.%d", writer, n)},
				"d":  &types.AttributeValueMemberB{Value: data},
			}})
			return err
		},
	}
	s.relayed = func(tb testing.TB) (session.Store, *relay, error) {
		r := newRelay(tb, strings.TrimPrefix(server.Endpoint, "http://"), httpFrames)
		store, err := open("http://" + r.addr)
		return store, r, err
	}
	return s
}
