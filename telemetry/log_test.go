package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

// canary must not be found in a log.
const canary = "CANARY-5f0c8e1d-9b7a"

type stringer struct{}

func (stringer) String() string { return "password=" + canary }

func TestNoSecretReachesTheLog(t *testing.T) {
	link, err := url.Parse("redis://user:" + canary + "@db:6379/0")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]slog.Attr{
		"key password":         slog.String("password", canary),
		"key API key":          slog.String("api_key", canary),
		"key with hyphens":     slog.String("X-API-Key", canary),
		"key token":            slog.String("session_token", canary),
		"key of another type":  slog.Any("client_secret", []string{canary}),
		"key in a group":       slog.Group("headers", slog.String("Authorization", "Bearer "+canary), slog.String("Cookie", "a="+canary)),
		"key in a deep group":  slog.Group("a", slog.Group("b", slog.String("credentials", canary))),
		"header map":           slog.Any("headers", http.Header{"Authorization": {"Basic " + canary}, "X-Api-Key": {canary}}),
		"struct":               slog.Any("config", struct{ APIKey string }{canary}),
		"map in a list":        slog.Any("list", []any{map[string]any{"inner": map[string]string{"refresh_token": canary}}}),
		"bearer in a text":     slog.String("text", "sent authorization: Bearer "+canary),
		"provider's key":       slog.String("text", "with sk-"+canary+" as key"),
		"web token":            slog.String("text", "eyJhbGciOiJI."+canary+".x"),
		"password in an URL":   slog.String("text", "cannot reach postgres://app:"+canary+"@db/app"),
		"URL":                  slog.Any("url", link),
		"query of an URL":      slog.String("text", "GET /x?api_key="+canary+"&a=b"),
		"JSON in a text":       slog.String("text", `{"password": "`+canary+`"}`),
		"private key":          slog.String("text", "-----BEGIN EC PRIVATE KEY-----\n"+canary+"\n-----END EC PRIVATE KEY-----"),
		"private key, cut off": slog.String("text", "-----BEGIN PRIVATE KEY-----\n"+canary),
		"error":                slog.Any("error", errors.New("dial https://u:"+canary+"@host: refused")),
		"wrapped error":        slog.Any("error", fault.New(fault.Auth, "x", "key sk-%s is wrong", canary)),
		"stringer":             slog.Any("value", stringer{}),
		"bytes":                slog.Any("raw", []byte("secret="+canary)),
		"not encodable": slog.Any("odd", struct {
			F        func()
			Password stringer
		}{}),
	}
	for _, format := range []string{"json", "text"} {
		for name, attr := range values {
			var b bytes.Buffer
			log, err := NewLogger(&b, "debug", format)
			if err != nil {
				t.Fatal(err)
			}
			log.With(attr).WithGroup("g").Info("with token="+canary, attr)
			if strings.Contains(b.String(), canary) {
				t.Errorf("%s, %s: %s", name, format, b.String())
			}
			if !strings.Contains(b.String(), Mask) {
				t.Errorf("%s, %s: nothing is masked: %s", name, format, b.String())
			}
		}
	}
}

func TestWhatIsNoSecretStaysReadable(t *testing.T) {
	var b bytes.Buffer
	log, err := NewLogger(&b, "", "")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not at this level")
	log.Info("served https://host:8080/path", "session", "s_1", "turn", "s_1~1.1.0.5d41402a", "tokens_in", 12, "tokens", 3,
		"idempotency_key", "order-7", "error", errors.New("the token bucket is empty"), "none", nil, "list", []int{1})
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err, b.String())
	}
	for key, want := range map[string]any{
		"msg": "served https://host:8080/path", "level": "INFO", "session": "s_1", "turn": "s_1~1.1.0.5d41402a", "tokens_in": 12.0, "tokens": 3.0,
		"idempotency_key": "order-7", "error": "the token bucket is empty",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, not %v", key, got[key], want)
		}
	}
	if _, ok := got["time"]; !ok || strings.Contains(b.String(), Mask) {
		t.Error(b.String())
	}
}

func TestLevelsAndFormatsAreChecked(t *testing.T) {
	for _, c := range []struct{ level, format string }{{"loud", "json"}, {"info", "xml"}} {
		_, err := NewLogger(&bytes.Buffer{}, c.level, c.format)
		if fault.KindOf(err) != fault.Config || fault.Try(err) == "" {
			t.Errorf("%v: %v", c, err)
		}
	}
	var b bytes.Buffer
	log, err := NewLogger(&b, "warn", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("no")
	log.Warn("yes")
	if got := b.String(); strings.Contains(got, "no") || !strings.Contains(got, "level=WARN msg=yes") {
		t.Error(got)
	}
}
