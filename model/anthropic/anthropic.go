package anthropic

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const (
	op             = "anthropic.Generate"
	defaultBaseURL = "https://api.anthropic.com"
)

// DefaultMaxTokens bounds an answer, in tokens, where neither the request nor Config.MaxTokens does.
const DefaultMaxTokens = 4096

// Config of a Provider. The zero value talks to Anthropic with the key in ANTHROPIC_API_KEY.
type Config struct {
	// APIKey is the credential. Empty: ANTHROPIC_API_KEY.
	APIKey string
	// KeyFunc, if not nil, is asked for the credential before every call, so that a key can be replaced while running.
	// It must be quick and safe for concurrent use. It replaces APIKey.
	KeyFunc func() string
	// BaseURL is the address without the version, as in https://api.anthropic.com. Empty: ANTHROPIC_BASE_URL, or
	// Anthropic.
	BaseURL string
	// HTTPClient, if not nil, is used for all requests. It should set no time-out: the caller's context is the clock,
	// and a time-out of the client would also end long answers.
	HTTPClient *http.Client
	// Headers are added to every request. Their values are treated as secrets.
	Headers map[string]string
	// MaxTokens bounds an answer, in tokens, where the request does not; 0: DefaultMaxTokens.
	MaxTokens int
	// SchemaInWords tells every schema to the model in words, for models that do not take an output format.
	SchemaInWords bool
}

// Provider calls Anthropic's models. It is safe for concurrent use.
type Provider struct {
	service   anthropic.MessageService
	client    *http.Client
	key       func() string
	secrets   []string
	maxTokens int
	inWords   bool
}

var _ model.Provider = (*Provider)(nil)

// New checks cfg and makes a provider; it does not talk to the server. The error is of kind fault.Config and names
// everything that is wrong.
func New(cfg Config) (*Provider, error) {
	base, key := cfg.BaseURL, strings.TrimSpace(cfg.APIKey) // a key that was read from a file ends in a newline
	if base == "" {
		base = os.Getenv("ANTHROPIC_BASE_URL")
	}
	if base == "" {
		base = defaultBaseURL
	}
	if key == "" && cfg.KeyFunc == nil {
		key = strings.TrimSpace(os.Getenv("ANTHROPIC_API_KEY"))
	}
	var errs []error
	if key == "" && cfg.KeyFunc == nil {
		errs = append(errs, errors.New("no API key: set ANTHROPIC_API_KEY or the provider's api_key"))
	}
	errs = append(errs, model.CheckAccess(key, base, defaultBaseURL)...)
	if strings.HasSuffix(strings.TrimRight(base, "/"), "/v1") {
		errs = append(errs, errors.New("the base URL must not end in /v1, the version is added to it"))
	}
	if cfg.MaxTokens < 0 {
		errs = append(errs, errors.New("the bound on tokens is less than 0"))
	}
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "anthropic.New", "%w", errors.Join(errs...))
	}
	p := &Provider{client: cfg.HTTPClient, key: cfg.KeyFunc, maxTokens: cfg.MaxTokens, inWords: cfg.SchemaInWords}
	if p.key == nil {
		p.key = func() string { return key }
	}
	if p.client == nil {
		p.client = model.NewHTTPClient()
	}
	if p.maxTokens == 0 {
		p.maxTokens = DefaultMaxTokens
	}
	opts := []option.RequestOption{
		option.WithBaseURL(base),
		option.WithHTTPClient(p.client),
		option.WithMaxRetries(0), // retries are decided in one place, above the provider
		option.WithoutOpenTelemetry(),
	}
	p.secrets = model.URLSecrets(base)
	for name, value := range cfg.Headers {
		opts = append(opts, option.WithHeader(name, value))
		p.secrets = append(p.secrets, value)
	}
	// The service, unlike the SDK's client, reads nothing from the environment.
	p.service = anthropic.NewMessageService(opts...)
	return p, nil
}

// Close closes idle connections. Calls that are running go on; later ones open new connections.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Generate implements model.Provider. If ctx ends after message_stop was seen, the answer is returned: it is complete
// and paid for.
func (p *Provider) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	key := strings.TrimSpace(p.key())
	scrub := model.NewScrubber(append([]string{key}, p.secrets...)...)
	if ctx.Err() != nil {
		return nil, model.Cancelled(ctx, op)
	}
	if err := model.CheckFiles(req, op, model.MediaImage, model.MediaPDF, model.MediaText); err != nil {
		return nil, err
	}
	params, err := p.params(req)
	if err != nil {
		return nil, fault.New(fault.Invalid, op, "%s", scrub.Clean(err.Error()))
	}
	res, err := p.send(ctx, params, key)
	if err != nil {
		return nil, model.NoResponse(ctx, op, err, scrub)
	}
	defer func() { _ = res.Body.Close() }() // what is left of it does not matter
	if res.StatusCode != http.StatusOK {
		return nil, refusal(ctx, res, scrub)
	}
	a := &assembly{model: req.Model}
	if err := a.read(ctx, res, emit); err != nil {
		return nil, failure(ctx, err, scrub)
	}
	answer, err := a.answer()
	if err != nil {
		return nil, failure(ctx, err, scrub)
	}
	return answer, nil
}

// send makes the one request. The response may have any status; its body is the caller's to close.
func (p *Provider) send(ctx context.Context, params anthropic.MessageNewParams, key string) (*http.Response, error) {
	var capture model.Capture
	stream := p.service.NewStreaming(ctx, params,
		option.WithAPIKey(key),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			return capture.Next(r, next)
		}),
	)
	return capture.Response(stream.Err())
}
