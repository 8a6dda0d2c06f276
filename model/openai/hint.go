package openai

import (
	"net/http"
	"strings"
	"time"

	"github.com/agentkernel/agentkernel/model"
)

// retryAfter is when h says that trying again makes sense, from now; 0 if it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d, ok := model.RetryAfter(h, now); ok {
		return d
	}
	var limits []model.Limit
	for _, name := range []string{"Requests", "Tokens"} {
		v := strings.TrimSpace(h.Get("X-Ratelimit-Reset-" + name))
		d, err := time.ParseDuration(v)
		if err != nil {
			var ok bool
			if d, ok = model.HintOf(v, time.Second); !ok { // some servers write seconds without the unit
				continue
			}
		}
		limits = append(limits, model.Limit{
			Reset: min(max(d, 0), model.MaxHint), Remaining: h.Get("X-Ratelimit-Remaining-" + name),
		})
	}
	return model.Resets(limits)
}
