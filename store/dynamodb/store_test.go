package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

func TestOpenSendsNothingAndRefusesWhatCanNeverWork(t *testing.T) {
	p := &tap{}
	s := open(t, "table", with(Config{Endpoint: "http://127.0.0.1:1", Region: "r", Credentials: fixed{}}, p.option()))
	if len(p.seen()) > 0 || s.Close() != nil {
		t.Errorf("opening made requests: %v", p.seen())
	}
	for name, c := range map[string]struct {
		table string
		cfg   Config
	}{
		"no table":         {"", Config{}},
		"a bad name":       {"no spaces", Config{}},
		"a short name":     {"ab", Config{}},
		"no URL":           {"table", Config{Endpoint: "127.0.0.1:8000"}},
		"a password in it": {"table", Config{Endpoint: "ftp://user:" + canary + "@127.0.0.1"}},
		"a negative time":  {"table", Config{Timeout: -1}},
	} {
		s, err := Open(t.Context(), c.table, c.cfg)
		if s != nil || fault.KindOf(err) != fault.Config || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// write is an append to a fresh session.
func write(ctx context.Context, s *Store) error {
	return s.Append(ctx, session.Key{Tenant: "t", ID: nonce()}, session.Position{}, record(session.Position{}, []byte("x")), session.Attention{})
}

func TestATableThatIsMissingIsAnErrorUntilItIsMade(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	name := fmt.Sprintf("ak-test-missing-%d", tables.Add(1))
	s := open(t, name, cfg)
	for range 2 {
		_, _, err := s.Read(ctx, session.Key{ID: "a"}, 0, 0)
		if fault.KindOf(err) != fault.Config || fault.Try(err) != "run: ak store init" || !strings.Contains(err.Error(), name) {
			t.Errorf("read: %v, try %q", err, fault.Try(err))
		}
		if err := write(ctx, s); !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Config {
			t.Errorf("write: %v", err)
		}
	}
	findings, err := s.Examine(ctx)
	if err != nil || len(findings) != 1 || findings[0].Severity != session.FindingFail || findings[0].Try == "" {
		t.Errorf("%+v, %v", findings, err)
	}
	did, err := s.Init(ctx)
	if err != nil || !strings.Contains(fmt.Sprint(did), "Made table") {
		t.Fatalf("%q, %v", did, err)
	}
	if err := write(ctx, s); err != nil {
		t.Errorf("after init: %v", err)
	}
	did, err = s.Init(ctx)
	if err != nil || slices.ContainsFunc(did, func(d string) bool { return !strings.Contains(d, "not supported") }) {
		t.Errorf("init again: %q, %v", did, err)
	}
	if _, err = call(ctx, s, always, (*dynamodb.Client).DeleteTable, &dynamodb.DeleteTableInput{TableName: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Heads(ctx, []session.Key{{ID: "a"}}); fault.KindOf(err) != fault.Config {
		t.Errorf("a table that was deleted: %v", err)
	}
}

func TestWithoutAConnectionNothingWasSent(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	for name, c := range map[string]struct {
		endpoint string
		write    func(*Store) error
	}{
		"refused": {"http://user:" + canary + "@127.0.0.1:1", func(s *Store) error { return write(t.Context(), s) }},
		"silent":  {"http://" + hole.Addr().String(), func(s *Store) error { return write(t.Context(), s) }},
		"silent, and the caller leaves": {"http://" + hole.Addr().String(), func(s *Store) error {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			return write(ctx, s)
		}},
	} {
		s := open(t, "table", Config{Endpoint: c.endpoint, Region: "r", Credentials: fixed{}, Timeout: 50 * time.Millisecond})
		err := c.write(s)
		if !errors.Is(err, session.ErrNotSent) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := s.Read(t.Context(), session.Key{ID: "a"}, 0, 0); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

type noRole struct{}

func (noRole) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, errors.New("no role found")
}

func TestRefusalsHaveAKindAndAdvice(t *testing.T) {
	cfg, p := place(t), &tap{}
	s := open(t, newTable(t, cfg), with(cfg, p.option()))
	if _, err := s.Meta(t.Context()); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]fault.Kind{
		"AccessDeniedException": fault.Auth, "ExpiredTokenException": fault.Auth, "UnrecognizedClientException": fault.Auth,
		"InvalidSignatureException": fault.Auth, "ThrottlingException": fault.Throttled, "RequestLimitExceeded": fault.Throttled,
		"ProvisionedThroughputExceededException": fault.Throttled, "ResourceNotFoundException": fault.Config,
	} {
		for _, at := range []string{"BatchWriteItem", "UpdateItem"} {
			p.reset(func(_ int, op string, _ any) *trouble {
				if op == at {
					return &trouble{err: &smithy.GenericAPIError{Code: code, Message: "the canonical string is " + canary}}
				}
				return nil
			})
			err := write(t.Context(), s)
			if !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != want || fault.Try(err) == "" {
				t.Errorf("%s at %s: %v of kind %s", code, at, err, fault.KindOf(err))
			}
			if want == fault.Auth && strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
	s = open(t, s.table, Config{Endpoint: cfg.Endpoint, Region: cfg.Region, Credentials: noRole{}})
	if err := write(t.Context(), s); !errors.Is(err, session.ErrNotSent) || fault.KindOf(err) != fault.Auth || fault.Try(err) == "" {
		t.Errorf("without credentials: %v", err)
	}
}

func TestCloseEndsCallsThatAreUnderWay(t *testing.T) {
	cfg := place(t)
	table := newTable(t, cfg)
	waiting := make(chan struct{}, 1)
	s := open(t, table, with(cfg, around(func(ctx context.Context, op string, _ any, next func(context.Context) (any, error)) (any, error) {
		if op != "UpdateItem" {
			return next(ctx)
		}
		reached(ctx)
		waiting <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})))
	answer := make(chan error)
	go func() { answer <- write(context.Background(), s) }()
	<-waiting
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answer; fault.KindOf(err) != fault.OutcomeUnknown {
		t.Errorf("a write that was sent when the store was closed: %v", err)
	}
}

func TestATableOfTheIncumbentIsTakenOver(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	name := fmt.Sprintf("ak-test-taken-%d", tables.Add(1))
	var asked *dynamodb.UpdateTableInput
	var ttl, recovery int
	// This server adds no index to a table and knows no TTL, so what AWS answers is put in its place.
	cfg = with(cfg, around(func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error) {
		switch op {
		case "UpdateTable":
			asked = in.(*dynamodb.UpdateTableInput)
			return &dynamodb.UpdateTableOutput{}, nil
		case "DescribeTimeToLive":
			return &dynamodb.DescribeTimeToLiveOutput{TimeToLiveDescription: &types.TimeToLiveDescription{TimeToLiveStatus: types.TimeToLiveStatusDisabled}}, nil
		case "UpdateTimeToLive":
			ttl++
			return &dynamodb.UpdateTimeToLiveOutput{}, nil
		case "UpdateContinuousBackups":
			recovery++
		}
		out, err := next(ctx)
		if op == "DescribeTable" && asked != nil {
			d := out.(*dynamodb.DescribeTableOutput).Table
			d.GlobalSecondaryIndexes = []types.GlobalSecondaryIndexDescription{{IndexName: aws.String("due"), IndexStatus: types.IndexStatusActive}}
		}
		return out, err
	}))
	s := open(t, name, cfg)
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).CreateTable, &dynamodb.CreateTableInput{
		TableName: &name, KeySchema: keys(partitionName, sortName),
		ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(7), WriteCapacityUnits: aws.Int64(3)},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(partitionName), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(sortName), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	did, err := s.Init(ctx)
	if err != nil || len(did) != 3 {
		t.Fatalf("%q, %v", did, err)
	}
	create := asked.GlobalSecondaryIndexUpdates[0].Create
	if aws.ToInt64(create.ProvisionedThroughput.WriteCapacityUnits) != 3 || asked.BillingMode != "" || ttl != 1 || recovery != 0 {
		t.Errorf("asked for %+v, TTL %d times, recovery %d times", asked, ttl, recovery)
	}
	findings, err := s.Examine(ctx)
	if err != nil || len(findings) != 8 {
		t.Fatalf("%+v, %v", findings, err)
	}
	for _, f := range findings {
		if f.Severity == session.FindingFail || f.Text == "" || (f.Try == "") != (f.Severity == session.FindingOK) {
			t.Errorf("%+v", f)
		}
	}
}

func TestATableWithOtherKeysIsRefused(t *testing.T) {
	ctx, cfg := t.Context(), place(t)
	name := fmt.Sprintf("ak-test-other-%d", tables.Add(1))
	s := open(t, name, cfg)
	_, err := call(ctx, s, ifRefused, (*dynamodb.Client).CreateTable, &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if did, err := s.Init(ctx); fault.KindOf(err) != fault.Config || fault.Try(err) == "" || len(did) > 0 {
		t.Errorf("%q, %v", did, err)
	}
}
