package gemini

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHint bounds a hint; more than a month is a mistake, and a number can be too large for a Duration.
const maxHint = 31 * 24 * time.Hour

// retryAfter is when h says that trying again makes sense, from now; 0 if it does not say. The API itself says it in the
// error's details; the header comes from gateways before it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if d, ok := seconds(v); ok {
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

// delay reads a protobuf Duration: a text such as "3.5s", or its fields.
func delay(raw json.RawMessage) time.Duration {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		d, _ := seconds(strings.TrimSuffix(strings.TrimSpace(text), "s"))
		return d
	}
	var fields struct {
		Seconds json.Number `json:"seconds"`
		Nanos   int64       `json:"nanos"`
	}
	if json.Unmarshal(raw, &fields) != nil {
		return 0
	}
	d, _ := seconds(fields.Seconds.String())
	return min(d+time.Duration(min(max(fields.Nanos, 0), int64(time.Second))), maxHint)
}

// seconds reads a decimal number of seconds; a negative one is none.
func seconds(v string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil && !math.IsInf(n, 1) || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	if n > maxHint.Seconds() {
		return maxHint, true
	}
	return time.Duration(math.Round(n * float64(time.Second))), true
}
