package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/config"
)

// baseOf is where a provider is. Those of most types say so in the configuration that was loaded.
func baseOf(p config.Provider) string {
	base := strings.TrimSuffix(p.BaseURL.Reveal(), "/")
	switch {
	case base != "":
		return base
	case p.Type == config.Gemini:
		return "https://generativelanguage.googleapis.com"
	case p.Type == config.Bedrock && p.Region != "":
		return "https://bedrock-runtime." + p.Region + ".amazonaws.com"
	}
	return ""
}

// Differences between this machine's clock and a provider's: some refuse requests that seem older than five minutes.
const (
	clockOff  = 30 * time.Second
	clockFail = 4 * time.Minute
)

// checkOnline asks the address of each provider in use for its models, and compares clocks. A provider that answers is
// fine, whatever it answers, except that it does not know the key.
func (d *doctor) checkOnline(ctx context.Context) {
	for _, id := range d.used() {
		p := d.cfg.Providers[id]
		if base := baseOf(p); base != "" {
			d.checkProvider(ctx, id, base, p)
		} else if p.Type != config.Scripted {
			d.warn("online", "providers."+id+".region, or base_url", "%s was not asked: where it is is not in the configuration", id)
		}
	}
}

func (d *doctor) checkProvider(ctx context.Context, id, base string, p config.Provider) {
	const check = "online"
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	keyed := (p.Type == config.OpenAI || p.Type == config.OpenAICompatible) && !p.APIKey.IsZero()
	url := base
	if keyed {
		url += "/models"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		d.fail(check, "check providers."+id+".base_url", "the address of %s is no URL", id)
		return
	}
	if keyed {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(p.APIKey.Reveal()))
	}
	began := time.Now()
	res, err := newHTTP().Do(req)
	if err != nil {
		d.fail(check, "check the network, the proxy and providers."+id+".base_url", "%s does not answer: %v", id, cause(err))
		return
	}
	took := time.Since(began)
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	if keyed && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) {
		d.fail(check, "check providers."+id+".api_key", "%s does not know the key (%d)", id, res.StatusCode)
	} else {
		d.ok(check, "%s answers (%d) in %s", id, res.StatusCode, took.Round(time.Millisecond))
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		d.compareClocks(id, time.Until(date))
	}
}

func (d *doctor) compareClocks(id string, off time.Duration) {
	const check, try = "clock", "run a time service here"
	switch off = off.Round(time.Second); {
	case off.Abs() > clockFail:
		d.fail(check, try, "the clock of %s is %s off from this one; some requests are refused for that", id, off)
	case off.Abs() > clockOff:
		d.warn(check, try, "the clock of %s is %s off from this one", id, off)
	}
}
