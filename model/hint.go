package model

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxHint bounds a hint about when to come back: more than a month is a mistake, and a number can be too large for a
// Duration.
const MaxHint = 31 * 24 * time.Hour

// RetryAfter is when the headers Retry-After-Ms and Retry-After say that trying again makes sense, from now; at most
// MaxHint. It is false if they do not say.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	if d, ok := HintOf(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d, true
	}
	v := h.Get("Retry-After")
	if d, ok := HintOf(v, time.Second); ok {
		return d, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return Until(at, h, now), true
}

// Until is how long it is to a moment that a response with the headers h names: at least 0, at most MaxHint. It is
// measured by the server's clock where the headers say what that is, for ours may be off, and else from now.
func Until(at time.Time, h http.Header, now time.Time) time.Duration {
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(max(at.Sub(now), 0), MaxHint)
}

// HintOf reads a decimal number of units, at most MaxHint. It is false for anything else, and for a negative number.
func HintOf(text string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil && !math.IsInf(n, 1) || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	if n > float64(MaxHint/unit) {
		return MaxHint, true
	}
	return time.Duration(math.Round(n * float64(unit))), true
}

// Limit is what a response says about one of a provider's limits.
type Limit struct {
	Reset     time.Duration // when it is whole again
	Remaining string        // how much of it is left, as the header says it; may be empty
}

// Resets is when the limits let a request through again. Only a limit that is used up held the request back; if none
// says that it is, the latest counts, for a hint is a floor.
func Resets(limits []Limit) time.Duration {
	var spent, all time.Duration
	for _, l := range limits {
		all = max(all, l.Reset)
		if strings.TrimSpace(l.Remaining) == "0" {
			spent = max(spent, l.Reset)
		}
	}
	if spent > 0 {
		return spent
	}
	return all
}
