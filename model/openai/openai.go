package openai

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const defaultBaseURL = "https://api.openai.com/v1/"

// Config of a Provider. The zero value talks to OpenAI with the key in OPENAI_API_KEY.
type Config struct {
	// APIKey is the credential. Empty: OPENAI_API_KEY, except for a compatible server, which then gets none.
	APIKey string
	// KeyFunc, if not nil, is asked for the credential before every call, so that a key can be replaced while running.
	// It must be quick and safe for concurrent use. It replaces APIKey.
	KeyFunc func() string
	// BaseURL is the address up to and including the version, as in https://api.openai.com/v1. Empty: OPENAI_BASE_URL,
	// or OpenAI. A compatible server needs it to be set.
	BaseURL string
	// HTTPClient, if not nil, is used for all requests. It should set no time-out: the caller's context is the clock,
	// and a time-out of the client would also end long answers.
	HTTPClient *http.Client
	// Compatible says that this is not OpenAI itself but a server that speaks its format. Nothing is then read from
	// the environment, a key is not required, the bound on the answer is sent under its older name, and an answer to a
	// prompt that the server cut is a failure.
	Compatible bool
	// Headers are added to every request. Their values are treated as secrets.
	Headers map[string]string
}

// Provider calls the models of one server. It is safe for concurrent use.
type Provider struct {
	service    openai.ChatCompletionService
	client     *http.Client
	key        func() string
	secrets    []string
	compatible bool
}

var _ model.Provider = (*Provider)(nil)

// New checks cfg and makes a provider; it does not talk to the server. The error is of kind fault.Config and names
// everything that is wrong.
func New(cfg Config) (*Provider, error) {
	base, key := cfg.BaseURL, strings.TrimSpace(cfg.APIKey) // a key that was read from a file ends in a newline
	if !cfg.Compatible {
		if base == "" {
			base = os.Getenv("OPENAI_BASE_URL")
		}
		if base == "" {
			base = defaultBaseURL
		}
		if key == "" && cfg.KeyFunc == nil {
			key = strings.TrimSpace(os.Getenv("OPENAI_API_KEY"))
		}
	}
	var errs []error
	if key == "" && cfg.KeyFunc == nil && !cfg.Compatible {
		errs = append(errs, errors.New("no API key: set OPENAI_API_KEY or the provider's api_key"))
	}
	errs = append(errs, model.CheckAccess(key, base, defaultBaseURL)...)
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "openai.New", "%w", errors.Join(errs...))
	}
	p := &Provider{client: cfg.HTTPClient, key: cfg.KeyFunc, compatible: cfg.Compatible}
	if p.key == nil {
		p.key = func() string { return key }
	}
	if p.client == nil {
		p.client = model.NewHTTPClient()
	}
	opts := []option.RequestOption{
		option.WithBaseURL(base),
		option.WithHTTPClient(p.client),
		option.WithMaxRetries(0), // retries are decided in one place, above the provider
	}
	p.secrets = model.URLSecrets(base)
	for name, value := range cfg.Headers {
		opts = append(opts, option.WithHeader(name, value))
		p.secrets = append(p.secrets, value)
	}
	// The service, unlike the SDK's client, reads nothing from the environment.
	p.service = openai.NewChatCompletionService(opts...)
	return p, nil
}

// Close closes idle connections. Calls that are running go on; later ones open new connections.
func (p *Provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// Generate implements model.Provider. If ctx ends after the finish reason was seen, the answer is returned: it is
// complete and paid for.
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
		return nil, a.failure(ctx, res, err, scrub)
	}
	answer, err := a.answer()
	if err == nil && p.compatible {
		err = checkPrompt(req, answer.Usage)
	}
	if err != nil {
		return nil, a.failure(ctx, res, err, scrub)
	}
	return answer, nil
}

// send makes the one request. The response may have any status; its body is the caller's to close.
func (p *Provider) send(ctx context.Context, params openai.ChatCompletionNewParams, key string) (*http.Response, error) {
	var capture model.Capture
	var ignored *http.Response
	_, err := p.service.New(ctx, params,
		option.WithAPIKey(key),
		option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			return capture.Next(r, next)
		}),
		option.WithJSONSet("stream", true),
		option.WithResponseBodyInto(&ignored),
	)
	return capture.Response(err)
}
