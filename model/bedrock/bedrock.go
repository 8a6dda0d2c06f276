package bedrock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/smithy-go/auth/bearer"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// Config of a Provider. The zero value takes the region and the credentials from where AWS tools take them: the
// environment, the shared files, the role of the machine.
type Config struct {
	// Region, as in eu-central-1. Empty: AWS_REGION, AWS_DEFAULT_REGION, or the profile's.
	Region string
	// Profile of the shared files. Empty: AWS_PROFILE, or the default one.
	Profile string
	// Credentials, if not nil, replace the chain of sources that AWS tools use. They are asked for before every call and
	// remembered until they expire.
	Credentials aws.CredentialsProvider
	// APIKey is a Bedrock API key, which is sent as a bearer token instead of a signature. Empty: the key in
	// AWS_BEARER_TOKEN_BEDROCK, unless there are Credentials; or else requests are signed.
	APIKey string
	// KeyFunc, if not nil, is asked for the API key before every call, so that it can be replaced while running. It must
	// be quick and safe for concurrent use. It replaces APIKey.
	KeyFunc func() string
	// BaseURL is the address of the server. Empty: that of the region.
	BaseURL string
	// HTTPClient, if not nil, is used for all requests to models. It should set no time-out: the caller's context is the
	// clock, and a time-out of the client would also end long answers.
	HTTPClient *http.Client
	// Schemas says that the models hold themselves to a schema for the answer. Bedrock refuses a request with one for
	// those of its models that cannot, and so it is left out unless this is set.
	Schemas bool
}

// Provider calls the models of one region. It is safe for concurrent use.
type Provider struct {
	sdk     *bedrockruntime.Client
	client  *http.Client
	key     func() string
	creds   aws.CredentialsProvider
	schemas bool
	secrets []string // of the base URL
}

var _ model.Provider = (*Provider)(nil)

// New checks cfg and makes a provider. It may read AWS's shared files, but does not talk to a server. The error is of
// kind fault.Config and names everything that is wrong.
func New(cfg Config) (*Provider, error) {
	key := strings.TrimSpace(cfg.APIKey) // a key that was read from a file ends in a newline
	if key == "" && cfg.KeyFunc == nil && cfg.Credentials == nil {
		key = strings.TrimSpace(os.Getenv("AWS_BEARER_TOKEN_BEDROCK"))
	}
	var errs []error
	const example = "https://bedrock-runtime.eu-central-1.amazonaws.com"
	base := cfg.BaseURL
	if base == "" {
		base = example // stands for that of the region, which the SDK knows
	}
	errs = append(errs, model.CheckAccess(key, base, example)...)
	settings, err := load(cfg)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("the AWS settings cannot be read: %w", err))
	case settings.Region == "":
		errs = append(errs, errors.New("no region: set AWS_REGION or the provider's region"))
	}
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "bedrock.New", "%s", model.NewScrubber(key).Clean(errors.Join(errs...).Error()))
	}
	p := &Provider{client: cfg.HTTPClient, key: cfg.KeyFunc, creds: settings.Credentials, schemas: cfg.Schemas, secrets: model.URLSecrets(base)}
	if p.key == nil {
		p.key = func() string { return key }
	}
	if p.client == nil {
		p.client = newClient()
	}
	p.sdk = bedrockruntime.NewFromConfig(settings, func(o *bedrockruntime.Options) {
		if cfg.BaseURL != "" {
			o.BaseEndpoint = aws.String(cfg.BaseURL)
		}
		o.Retryer = aws.NopRetryer{} // retries are decided in one place, above the provider
		o.HTTPClient = capture{}
		o.BearerAuthSigner = signer{}
	})
	return p, nil
}

// load reads what AWS tools read.
func load(cfg Config) (aws.Config, error) {
	var opts []func(*config.LoadOptions) error
	if cfg.Region != "" {
		opts = append(opts, config.WithRegion(cfg.Region))
	}
	if cfg.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(cfg.Profile))
	}
	if cfg.Credentials != nil {
		opts = append(opts, config.WithCredentialsProvider(aws.NewCredentialsCache(cfg.Credentials)))
	}
	return config.LoadDefaultConfig(context.Background(), opts...)
}

// newClient follows no redirects: the credential is in a header that would be sent along.
func newClient() *http.Client {
	c := model.NewHTTPClient()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// Close closes idle connections. Calls that are running go on; later ones open new connections.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Generate implements model.Provider. If ctx ends after the messageStop event was seen, the answer is returned: it is
// complete and paid for.
func (p *Provider) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	key := strings.TrimSpace(p.key())
	if ctx.Err() != nil {
		return nil, model.Cancelled(ctx, op)
	}
	in, err := p.input(req)
	if err != nil {
		kind := fault.Invalid
		if errors.Is(err, errFile) {
			kind = fault.Unsupported
		}
		return nil, fault.New(kind, op, "%s", model.NewScrubber(key).Clean(err.Error()))
	}
	secrets := append([]string{key}, p.secrets...)
	if key == "" {
		creds, err := p.credentials(ctx)
		if err != nil {
			return nil, credentialsFault(ctx, err, model.NewScrubber())
		}
		secrets = append(secrets, creds.AccessKeyID, creds.SecretAccessKey, creds.SessionToken)
	}
	scrub := model.NewScrubber(secrets...)
	res, err := p.send(ctx, in, key)
	if err != nil {
		return nil, model.NoResponse(ctx, op, err, scrub)
	}
	if res.Request != nil {
		_, signature, _ := strings.Cut(res.Request.Header.Get("Authorization"), "Signature=")
		scrub = model.NewScrubber(append(secrets, signature)...)
	}
	defer func() { _ = res.Body.Close() }() // what is left of it does not matter
	if res.StatusCode != http.StatusOK {
		return nil, refusal(ctx, res, scrub)
	}
	a := &assembly{model: req.Model}
	if err := a.read(ctx, res, emit); err != nil {
		return nil, a.failure(ctx, res, err, scrub)
	}
	answer, err := a.answer()
	if err != nil {
		return nil, a.failure(ctx, res, err, scrub)
	}
	return answer, nil
}

// credentials are asked for apart from the SDK's own asking, so that their failure can be told from the call's. They are
// remembered, so this costs nothing.
func (p *Provider) credentials(ctx context.Context) (aws.Credentials, error) {
	if p.creds == nil {
		return aws.Credentials{}, errors.New("there are none")
	}
	return p.creds.Retrieve(ctx)
}

// call is what one call of Generate and the client below the SDK have in common.
type call struct {
	client *http.Client
	res    *http.Response
}

type callKey struct{}

// errTaken ends the SDK's part of a call, once the response is there.
var errTaken = errors.New("the response was taken")

// capture is the SDK's HTTP client. It takes the response where it comes in and tells the SDK that there is none. The SDK
// reads refusals without bound and keeps only parts of them, and the streams of one SDK client share a buffer, so that
// parallel ones would mix. The body is sent from a copy: the SDK closes its own as soon as the response begins, and the
// connection breaks if the end of the body was not seen to be sent by then.
type capture struct{}

func (capture) Do(req *http.Request) (*http.Response, error) {
	c, ok := req.Context().Value(callKey{}).(*call)
	if !ok || c.res != nil {
		return nil, errors.New("the SDK sent a request that nobody asked for")
	}
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	out := req.Clone(req.Context())
	out.ContentLength = int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.Body, _ = out.GetBody()
	res, err := c.client.Do(out)
	if err != nil {
		return nil, err
	}
	c.res = res
	return nil, errTaken
}

// signer sends a key as it is. The SDK's own refuses to over plain HTTP, which is how a server on this machine is
// reached; whether an address is fit for a key is decided by who configures it.
type signer struct{}

func (signer) SignWithBearerToken(_ context.Context, token bearer.Token, message bearer.Message) (bearer.Message, error) {
	req, ok := message.(*smithyhttp.Request)
	if !ok {
		return nil, fmt.Errorf("cannot sign a %T", message)
	}
	req = req.Clone()
	req.Header.Set("Authorization", "Bearer "+token.Value)
	return req, nil
}

// send makes the one request. The response may have any status; its body is the caller's to close.
func (p *Provider) send(ctx context.Context, in *bedrockruntime.ConverseStreamInput, key string) (*http.Response, error) {
	c := &call{client: p.client}
	_, err := p.sdk.ConverseStream(context.WithValue(ctx, callKey{}, c), in, func(o *bedrockruntime.Options) {
		if key == "" {
			o.AuthSchemePreference = []string{"sigv4"}
			return
		}
		o.AuthSchemePreference = []string{"httpBearerAuth"}
		o.BearerAuthTokenProvider = bearer.StaticTokenProvider{Token: bearer.Token{Value: key}}
	})
	switch {
	case c.res != nil:
		return c.res, nil
	case err == nil:
		return nil, fmt.Errorf("the SDK returned no response")
	}
	return nil, err
}
