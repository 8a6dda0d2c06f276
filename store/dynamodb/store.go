package dynamodb

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/session"
)

// Config says how to reach the table. The zero value uses what the AWS SDK finds: environment, shared files, and the
// machine's role.
type Config struct {
	Region      string                  // empty: as the SDK finds it
	Endpoint    string                  // empty: the region's; else the URL of another server of the same API
	Credentials aws.CredentialsProvider // nil: as the SDK finds them
	// Timeout bounds each request, 0 means 5 s. A call of the store makes several.
	Timeout time.Duration
	// HTTPClient sends the requests; nil means one of the store's own.
	HTTPClient aws.HTTPClient
	// APIOptions change the SDK's middleware, as tests do to put faults in.
	APIOptions []func(*middleware.Stack) error
}

const (
	defaultTimeout = 5 * time.Second
	conflictsHere  = 6 // how often a read starts again because the session changed under it
)

// Store keeps sessions in a table; see [Open].
type Store struct {
	table string
	cfg   Config

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // what runs in the background

	mu      sync.Mutex
	closed  bool
	api     *dynamodb.Client
	checked bool                // the table is this store's
	idle    func()              // closes connections that nobody uses
	known   map[string]struct{} // tenants that the list of tenants has for sure
	tidied  time.Time           // when this store last looked for erases that were cut short
}

// Open returns a store in the table. It sends nothing: the SDK's settings, the credentials and the table are looked at by
// the first call that needs them, and again by the next ones until they are right. It is an error of kind Config when they
// can never be.
func Open(_ context.Context, table string, cfg Config) (*Store, error) {
	const op = "dynamodb.Open"
	if table == "" {
		return nil, fault.New(fault.Config, op, "the table has no name").WithTry("set AK_SESSION__DYNAMODB__TABLE_NAME")
	}
	if !validTable(table) {
		return nil, fault.New(fault.Config, op, "%q is no name of a table", table).
			WithTry("use 3 to 255 letters, digits, dots, dashes and underscores")
	}
	if cfg.Timeout < 0 {
		return nil, fault.New(fault.Config, op, "the time-out is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Endpoint != "" {
		// The URL is not part of the error: it may hold a password.
		if u, err := url.Parse(cfg.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fault.New(fault.Config, op, "the endpoint is not a URL that begins with http:// or https://")
		}
	}
	s := &Store{table: table, cfg: cfg, known: map[string]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func validTable(name string) bool {
	if len(name) < 3 || len(name) > 255 {
		return false
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// Close ends the calls that are under way, and releases all connections.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
	if idle != nil {
		idle()
	}
	return nil
}

var errClosed = errors.New("the store is closed")

// begin makes ready for a call: its context also ends when the store is closed. end must be called.
func (s *Store) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, refused(fault.KindOf(err), err)
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, nil, refused(fault.Unavailable, errClosed)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(errClosed) })
	end = func() { stop(); cancel(nil) }
	if err := s.ready(ctx); err != nil {
		end()
		return nil, nil, neverSent(err)
	}
	return ctx, end, nil
}

// client is the SDK's, made when it is first needed: finding its settings may read files.
func (s *Store) client(ctx context.Context) (*dynamodb.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.api != nil {
		return s.api, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var with []func(*config.LoadOptions) error
	if s.cfg.Region != "" {
		with = append(with, config.WithRegion(s.cfg.Region))
	}
	if s.cfg.Credentials != nil {
		with = append(with, config.WithCredentialsProvider(s.cfg.Credentials))
	}
	found, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		e := refused(fault.Config, err)
		e.msg = "the AWS settings cannot be read: " + clean(err)
		return nil, e
	}
	if found.Region == "" {
		e := refused(fault.Config, nil)
		e.msg, e.try = "there is no AWS region", "set AWS_REGION"
		return nil, e
	}
	s.api = dynamodb.NewFromConfig(found, func(o *dynamodb.Options) {
		o.Retryer = aws.NopRetryer{} // see call
		o.APIOptions = append(o.APIOptions, s.cfg.APIOptions...)
		if found.Credentials != nil {
			o.Credentials = credentials{found.Credentials}
		}
		if s.cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.cfg.Endpoint)
		}
		o.HTTPClient, s.idle = s.http(found)
	})
	return s.api, nil
}

// http is what sends the requests. Of the SDK's own client only the transport is taken, since that client cannot close
// its connections.
func (s *Store) http(found aws.Config) (client aws.HTTPClient, idle func()) {
	if s.cfg.HTTPClient != nil {
		return s.cfg.HTTPClient, func() {}
	}
	transport := awshttp.NewBuildableClient().GetTransport()
	if b, ok := found.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = b.GetTransport()
	}
	transport.MaxIdleConnsPerHost = 256
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

// credentials marks the errors of a provider: without credentials nothing is sent.
type credentials struct{ aws.CredentialsProvider }

type noCredentials struct{ error }

func (e noCredentials) Unwrap() error { return e.error }

func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = noCredentials{err}
	}
	return found, err
}

// ready checks, until it once succeeded, that the table is there and was made ready by Init.
func (s *Store) ready(ctx context.Context) error {
	s.mu.Lock()
	checked := s.checked
	s.mu.Unlock()
	if checked {
		return nil
	}
	m, err := s.meta(ctx)
	if err != nil {
		return err
	}
	if err := m.Check(session.Meta{Format: session.StoreFormat, Buckets: agendas}); err != nil {
		return err
	}
	s.mu.Lock()
	s.checked = true
	s.mu.Unlock()
	return nil
}

// Durability declares what a table can lose. That an acknowledged write is on disks in several zones is the service's
// word; no test of ours can show it.
func (s *Store) Durability() session.Durability {
	const declared = "declared by AWS: a write is answered when it is durable in at least two availability zones"
	nothing := session.Exposure{Loses: session.LosesNothing, Shown: declared}
	return session.Durability{
		Store: "dynamodb", Level: "strong",
		ProcessCrash:  nothing,
		MachineCrash:  nothing,
		Failover:      nothing,
		DiskLoss:      nothing,
		ZoneLoss:      nothing,
		OperatorError: session.Exposure{Loses: session.NotCovered},
		Note:          "point-in-time recovery brings back what an operator deleted; ak store init turns it on for the tables that it makes",
		AppendWrites:  2,
	}
}

var (
	_ session.Store       = (*Store)(nil)
	_ session.Initializer = (*Store)(nil)
	_ session.Examiner    = (*Store)(nil)
)
