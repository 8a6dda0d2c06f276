package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentkernel/agentkernel/config"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/server"
)

// envAPIKey is the variable with the key that commands send to the server.
const envAPIKey = "AK_API_KEY"

// client talks to a running server.
type client struct {
	base string // may hold a password, see at
	key  string // sent as a bearer token; empty sends none
	http *http.Client
}

// asClient gives a command the flags --url and --api-key.
func (a *app) asClient(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.url, "url", "", "base `URL` of the server (default: from api.host and api.port of the configuration)")
	cmd.Flags().StringVar(&a.apiKey, "api-key", "", "`key` or token to send (default: the variable "+envAPIKey+", which other users of this machine cannot see)")
	return cmd
}

// client finds the server: --url, or where the configuration says that it listens.
func (a *app) client(cmd *cobra.Command) (*client, error) {
	base := a.url
	if base == "" {
		cfg, err := a.load(cmd, nil)
		if err != nil {
			return nil, err
		}
		base = clientBase(cfg)
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return nil, usage(cmd, "--url is no base URL such as http://127.0.0.1:8000")
	}
	key := strings.TrimSpace(a.apiKey)
	if key == "" {
		key = strings.TrimSpace(os.Getenv(envAPIKey))
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usage(cmd, "the API key has characters in it that no key has")
	}
	return &client{base: strings.TrimSuffix(u.String(), "/"), key: key, http: newHTTP()}, nil
}

// at is where the server is, to be shown: without a user and a password.
func (c *client) at() string {
	u, err := url.Parse(c.base)
	if err != nil {
		return "the server"
	}
	u.User = nil
	return u.String()
}

// clientBase is where the configuration says that the server listens.
func clientBase(cfg *config.Config) string {
	return "http://" + net.JoinHostPort(reachable(cfg.API.Host), strconv.Itoa(cfg.API.Port))
}

func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}}
}

// request is a request with the caller's key.
func (c *client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fault.New(fault.BadRequest, "", "%w", err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// reply is a response that is no problem.
type reply struct {
	status int
	body   []byte
}

const maxReply = 64 << 20 // bytes

// do sends a request and reads the whole answer. A problem comes back as an error with its kind.
func (c *client) do(ctx context.Context, method, path string, body any) (*reply, error) {
	res, err := c.open(ctx, method, path, body, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return &reply{res.StatusCode, data}, nil
}

// open sends a request and leaves the body of the answer to be read.
func (c *client) open(ctx context.Context, method, path string, body any, header map[string]string) (*http.Response, error) {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fault.New(fault.Internal, "", "%w", err)
		}
		send = bytes.NewReader(b)
	}
	req, err := c.request(ctx, method, path, send)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	if res.StatusCode < 400 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return nil, c.refused(res.StatusCode, data)
}

// broken is an error of the connection.
func (c *client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fault.New(fault.Unavailable, "", "no server answers at %s", c.at()).WithTry("ak serve, or --url if it runs elsewhere")
	}
	return &lostError{fault.New(fault.OutcomeUnknown, "", "the connection to %s broke: %w", c.at(), cause(err)).
		WithTry("ak health, and the same command again")}
}

// lostError says that a request may have been taken although no answer came.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refused is a problem as an error.
func (c *client) refused(status int, body []byte) error {
	var p server.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return fault.New(fault.Malformed, "", "%s answered %d, and not as a server of this kind does", c.at(), status).
			WithTry("check --url")
	}
	e := fault.New(p.Code, "", "%s", p.Detail).WithAfter(time.Duration(p.RetryAfterMS) * time.Millisecond)
	if p.Try != "" {
		e = e.WithTry("%s", p.Try)
	}
	return e
}

// get reads a JSON value; raw is the same as it came.
func (c *client) get(ctx context.Context, path string, into any) (raw []byte, err error) {
	return c.call(ctx, http.MethodGet, path, nil, into)
}

func (c *client) call(ctx context.Context, method, path string, body, into any) (raw []byte, err error) {
	res, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if into == nil {
		return res.body, nil
	}
	if err := json.Unmarshal(res.body, into); err != nil {
		return nil, fault.New(fault.Malformed, "", "%s did not answer as a server of this kind does: %w", c.at(), err).WithTry("check --url")
	}
	return res.body, nil
}

// seg is an id as one segment of a path.
func seg(id string) string { return url.PathEscape(id) }
