package bedrock

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
	if d, ok := number(h.Get("X-Amz-Retry-After"), time.Millisecond); ok {
		return d
	}
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if d, ok := number(v, time.Second); ok {
		return d
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	// Measured by the server's clock where it says what it is, for ours may be off.
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), maxHint)
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
