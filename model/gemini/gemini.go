package gemini

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"google.golang.org/genai"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

const (
	defaultBaseURL = "https://generativelanguage.googleapis.com"
	defaultVersion = "v1beta"
)

// Config of a Provider. The zero value talks to Google with the key in GEMINI_API_KEY.
type Config struct {
	// APIKey is the credential. Empty: GEMINI_API_KEY, or GOOGLE_API_KEY.
	APIKey string
	// KeyFunc, if not nil, is asked for the credential before every call, so that a key can be replaced while running.
	// It must be quick and safe for concurrent use. It replaces APIKey.
	KeyFunc func() string
	// BaseURL is the address of the server, with or without the version of the API at its end: without one it is
	// v1beta. Empty: Google's.
	BaseURL string
	// HTTPClient, if not nil, is used for all requests. It should set no time-out: the caller's context is the clock,
	// and a time-out of the client would also end long answers. The key is sent along on redirects that it follows;
	// the built-in one follows none.
	HTTPClient *http.Client
	// Headers are added to every request. Their values are treated as secrets.
	Headers map[string]string
}

// Provider calls the models of one server. It is safe for concurrent use.
type Provider struct {
	models  *genai.Models
	client  *http.Client
	key     func() string
	headers map[string]string
	secrets []string // of the base URL
}

var _ model.Provider = (*Provider)(nil)

// New checks cfg and makes a provider; it does not talk to the server. The error is of kind fault.Config and names
// everything that is wrong.
func New(cfg Config) (*Provider, error) {
	key := strings.TrimSpace(cfg.APIKey) // a key that was read from a file ends in a newline
	for _, name := range []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"} {
		if key == "" && cfg.KeyFunc == nil {
			key = strings.TrimSpace(os.Getenv(name))
		}
	}
	var errs []error
	if key == "" && cfg.KeyFunc == nil {
		errs = append(errs, errors.New("no API key: set GEMINI_API_KEY or the provider's api_key"))
	}
	base := cfg.BaseURL
	if base == "" {
		base = defaultBaseURL
	}
	errs = append(errs, model.CheckAccess(key, base, defaultBaseURL)...)
	if len(errs) > 0 {
		return nil, fault.New(fault.Config, "gemini.New", "%w", errors.Join(errs...))
	}
	p := &Provider{client: cfg.HTTPClient, key: cfg.KeyFunc, headers: cfg.Headers, secrets: model.URLSecrets(base)}
	base, version := address(base)
	if p.key == nil {
		p.key = func() string { return key }
	}
	if p.client == nil {
		p.client = newClient()
	}
	sdk, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		APIKey:      "set-per-call", // the SDK prints it in its own errors, so it never sees the true one
		Backend:     genai.BackendGeminiAPI,
		HTTPClient:  &http.Client{Transport: capture{}},
		HTTPOptions: genai.HTTPOptions{BaseURL: base, APIVersion: version},
	})
	if err != nil {
		return nil, fault.New(fault.Config, "gemini.New", "%s", model.NewScrubber(key).Clean(err.Error()))
	}
	p.models = sdk.Models
	return p, nil
}

// address splits a base URL, which was checked, into the address and the version of the API.
func address(base string) (string, string) {
	u, err := url.Parse(base)
	if err != nil {
		return base, defaultVersion
	}
	version := defaultVersion
	u.Path = strings.TrimRight(u.Path, "/")
	if last := path.Base(u.Path); slices.Contains([]string{"v1", "v1beta", "v1alpha"}, last) {
		version, u.Path = last, strings.TrimSuffix(u.Path, "/"+last)
	}
	return u.String(), version
}

// newClient follows no redirects: the key is in a header that would be sent along.
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

// Generate implements model.Provider. If ctx ends after the finish reason was seen, the answer is returned: it is
// complete and paid for.
func (p *Provider) Generate(ctx context.Context, req *model.Request, emit func(model.Chunk)) (*model.Answer, error) {
	key := strings.TrimSpace(p.key())
	secrets := append([]string{key}, p.secrets...)
	for _, value := range p.headers {
		secrets = append(secrets, value)
	}
	scrub := model.NewScrubber(secrets...)
	if ctx.Err() != nil {
		return nil, model.Cancelled(ctx, op)
	}
	body, err := requestBody(req)
	if err != nil {
		kind := fault.Invalid
		if errors.Is(err, errFile) {
			kind = fault.Unsupported
		}
		return nil, fault.New(kind, op, "%s", scrub.Clean(err.Error()))
	}
	res, err := p.send(ctx, req.Model, body, key)
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
	if err != nil {
		return nil, a.failure(ctx, res, err, scrub)
	}
	return answer, nil
}

// call is what one call of Generate and the transport below the SDK have in common.
type call struct {
	client  *http.Client
	key     string
	headers map[string]string
	res     *http.Response
}

type callKey struct{}

// capture is the SDK's transport. It takes the response where it comes in and gives the SDK one with nothing in it: the
// SDK reads refusals without bound, keeps only parts of them, and understands less of a stream than is needed.
type capture struct{}

func (capture) RoundTrip(req *http.Request) (*http.Response, error) {
	c, ok := req.Context().Value(callKey{}).(*call)
	if !ok || c.res != nil {
		return nil, errors.New("the SDK sent a request that nobody asked for")
	}
	out := req.Clone(req.Context())
	for name, value := range c.headers {
		out.Header.Set(name, value)
	}
	out.Header.Set("X-Goog-Api-Key", c.key)
	res, err := c.client.Do(out)
	if err != nil {
		return nil, err
	}
	c.res = res
	empty := *res
	empty.Request = req
	empty.StatusCode, empty.Body = http.StatusOK, io.NopCloser(strings.NewReader(""))
	return &empty, nil
}

// send makes the one request. The response may have any status; its body is the caller's to close.
func (p *Provider) send(ctx context.Context, name string, body map[string]any, key string) (*http.Response, error) {
	c := &call{client: p.client, key: key, headers: p.headers}
	cfg := &genai.GenerateContentConfig{HTTPOptions: &genai.HTTPOptions{
		// The SDK turns a request into a map of values and back, and numbers would lose digits on the way.
		ExtrasRequestProvider: func(map[string]any) map[string]any { return body },
	}}
	for _, err := range p.models.GenerateContentStream(context.WithValue(ctx, callKey{}, c), name, nil, cfg) {
		if err != nil {
			if c.res != nil {
				_ = c.res.Body.Close()
			}
			return nil, err
		}
	}
	if c.res == nil {
		return nil, fmt.Errorf("the SDK returned no response")
	}
	return c.res, nil
}
