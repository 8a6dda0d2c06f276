package openai

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHint bounds a hint; more than a month is a mistake, and a number can be too large for a Duration.
const maxHint = 31 * 24 * time.Hour

// retryAfter is when h says that trying again makes sense, from now; 0 if it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d, ok := number(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	if v := h.Get("Retry-After"); v != "" {
		if d, ok := number(v, time.Second); ok {
			return d
		}
		if at, err := http.ParseTime(v); err == nil {
			// Measured by the server's clock where it says what it is, for ours may be off.
			if sent, err := http.ParseTime(h.Get("Date")); err == nil {
				now = sent
			}
			return clamp(at.Sub(now))
		}
	}
	return resets(h)
}

// resets reads the headers that say when a limit is whole again. Only a limit that is used up held this request back;
// if none says that it is, the later of them counts, for a hint is a floor.
func resets(h http.Header) time.Duration {
	var spent, all time.Duration
	for _, limit := range []string{"Requests", "Tokens"} {
		v := strings.TrimSpace(h.Get("X-Ratelimit-Reset-" + limit))
		d, err := time.ParseDuration(v)
		if err != nil {
			var ok bool
			if d, ok = number(v, time.Second); !ok { // some servers write seconds without the unit
				continue
			}
		}
		d = clamp(d)
		all = max(all, d)
		if strings.TrimSpace(h.Get("X-Ratelimit-Remaining-"+limit)) == "0" {
			spent = max(spent, d)
		}
	}
	if spent > 0 {
		return spent
	}
	return all
}

// number reads a decimal number of units; a negative one is none.
func number(v string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil && !math.IsInf(n, 1) || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	if n > float64(maxHint/unit) {
		return maxHint, true
	}
	return time.Duration(math.Round(n * float64(unit))), true
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), maxHint) }
