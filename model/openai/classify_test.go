package openai

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func TestBodiesOfAllShapesAreClassified(t *testing.T) {
	cases := []struct {
		status int
		body   string
		want   fault.Kind
		text   string
	}{
		{400, `{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error"}}`, fault.ContextOverflow, "maximum context"},
		{400, `{"object":"error","message":"maximum context length is 8192","type":"BadRequestError","code":400}`, fault.ContextOverflow, "400: maximum"},
		{400, `{"error":{"code":"400","type":"exceed_context_size_error","message":"too big"}}`, fault.ContextOverflow, "too big"},
		{413, `<html>Request Entity Too Large</html>`, fault.Invalid, "413: Request Entity Too Large"},
		{400, `{"error":{"code":"bad_request","innererror":{"code":"ResponsibleAIPolicyViolation"},"message":"content management policy"}}`, fault.Refused, ""},
		{400, `{"error":{"message":"filtered","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, fault.Refused, ""},
		{404, `{"error":{"code":"DeploymentNotFound","message":"no such deployment"}}`, fault.ModelGone, "DeploymentNotFound"},
		{404, `{"error":"model 'x' not found, try pulling it first"}`, fault.ModelGone, "pulling"},
		{404, `404 page not found`, fault.ModelGone, "404"},
		{403, `{"error":{"code":"unsupported_country_region_territory","message":"no"}}`, fault.ModelGone, ""},
		{401, `{"error":{"message":"You must be a member of an organization","code":null,"param":null}}`, fault.Auth, "member"},
		{429, `[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED"}}]`, fault.Throttled, ""},
		{429, `{"error":{"message":"Your credit balance is too low"}}`, fault.Quota, ""},
		{429, `{"error":{"type":"insufficient_quota","code":"something_new","message":"no"}}`, fault.Quota, ""},
		{500, `{"error":{"message":"The model is overloaded, try later"}}`, fault.Overloaded, ""},
		{500, `{"error":{"type":"server_error","message":"rate limit of the cluster"}}`, fault.Transient, ""},
		{503, `{"error":{"type":"server_error"}}`, fault.Overloaded, "503 server_error"},
		{529, ``, fault.Overloaded, "529"},
		{520, ``, fault.Transient, "520"},
		{418, ``, fault.Invalid, "teapot"},
		{422, `{"detail":[{"loc":["body"],"msg":"field required"}]}`, fault.Invalid, "field required"},
		{422, `{"detail":"no"}`, fault.Invalid, "422: no"},
		{400, `{"error":"Bad Request","message":"broken"}`, fault.Invalid, "broken"},
		{400, `{"error":{"message":"inner"},"message":"outer"}`, fault.Invalid, "inner"},
		{204, ``, fault.Unknown, "204"},
		{302, ``, fault.Unknown, "302"},
	}
	for _, c := range cases {
		p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			if c.status != http.StatusNoContent {
				_, _ = w.Write([]byte(c.body))
			}
		})
		_, err := p.Generate(t.Context(), ask("x"), nil)
		if fault.KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d %s: got %s: %v, want %s: %q", c.status, c.body, fault.KindOf(err), err, c.want, c.text)
		}
	}
}

// The tables are data, so their mistakes are those of data.
func TestTheTablesAreConsistent(t *testing.T) {
	kinds := fault.Kinds()
	for _, table := range []map[string]fault.Kind{codes, vague} {
		for name, kind := range table {
			if name != strings.ToLower(name) || !slices.Contains(kinds, kind) {
				t.Errorf("%q: %q", name, kind)
			}
		}
	}
	for name := range vague {
		if _, ok := codes[name]; ok {
			t.Errorf("%q is in both tables", name)
		}
	}
	for _, row := range texts {
		if row.Text != strings.ToLower(row.Text) || !slices.Contains(kinds, row.Kind) || len(row.Statuses) == 0 {
			t.Errorf("%+v", row)
		}
	}
	for name, f := range finishes {
		if (f.finish == "") == (f.kind == "") || name != strings.ToLower(name) {
			t.Errorf("%q: %+v", name, f)
		}
	}
}

func TestAdviceComesWithTheFailure(t *testing.T) {
	p := against(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := p.Generate(t.Context(), ask("x"), nil); !strings.Contains(fault.Try(err), "API key") {
		t.Errorf("got %q", fault.Try(err))
	}
}

func TestHintsAreRead(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		want    time.Duration
		headers []string
	}{
		{0, nil},
		{90 * time.Second, []string{"Retry-After", "90"}},
		{time.Millisecond, []string{"Retry-After-Ms", "1", "Retry-After", "5"}},
		{5 * time.Second, []string{"Retry-After-Ms", "soon", "Retry-After", "5"}},
		{time.Minute, []string{"Retry-After", "Mon, 23 Nov 2026 12:01:00 GMT"}},
		{30 * time.Second, []string{"Retry-After", "Mon, 23 Nov 2026 12:01:00 GMT", "Date", "Mon, 23 Nov 2026 12:00:30 GMT"}},
		{0, []string{"Retry-After", "Mon, 23 Nov 2026 11:59:00 GMT"}},
		{model.MaxHint, []string{"Retry-After", "1e300"}},
		{model.MaxHint, []string{"Retry-After", "1e999"}},
		{model.MaxHint, []string{"Retry-After", "Fri, 23 Nov 2040 12:00:00 GMT"}},
		{0, []string{"Retry-After", "NaN"}},
		{2500 * time.Millisecond, []string{"X-Ratelimit-Reset-Tokens", "2.5"}},
		{time.Second, []string{"X-Ratelimit-Reset-Tokens", "-1s", "X-Ratelimit-Reset-Requests", "1s"}},
		{3 * time.Second, []string{
			"X-Ratelimit-Reset-Tokens", "3s", "X-Ratelimit-Remaining-Tokens", "0",
			"X-Ratelimit-Reset-Requests", "9s", "X-Ratelimit-Remaining-Requests", "1",
		}},
	} {
		h := http.Header{}
		for i := 0; i < len(c.headers); i += 2 {
			h.Set(c.headers[i], c.headers[i+1])
		}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%q: got %s, want %s", c.headers, got, c.want)
		}
	}
}
