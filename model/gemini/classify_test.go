package gemini

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

func TestBodiesOfAllShapesAreClassified(t *testing.T) {
	const info = `"@type":"type.googleapis.com/google.rpc.`
	cases := []struct {
		status int
		body   string
		want   fault.Kind
		text   string
	}{
		{400, `{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT","details":[{` + info + `ErrorInfo","reason":"API_KEY_INVALID"}]}}`, fault.Auth, "400 INVALID_ARGUMENT: x"},
		{403, `{"error":{"status":"PERMISSION_DENIED","details":[{` + info + `ErrorInfo","reason":"BILLING_DISABLED"}]}}`, fault.Quota, ""},
		{429, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{` + info + `QuotaFailure","violations":[{"quotaId":"X","quotaValue":"0"}]}]}}`, fault.Quota, ""},
		{429, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{` + info + `ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","metadata":{"quota_limit":"RequestsPerDay"}}]}}`, fault.Quota, ""},
		{429, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{` + info + `ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},7]}}`, fault.Throttled, ""},
		{429, `{"error":{"message":"Your prepayment credits are depleted"}}`, fault.Quota, ""},
		{429, `[{"error":{"code":429,"message":"Resource exhausted","status":"RESOURCE_EXHAUSTED"}}]`, fault.Throttled, "429"},
		{429, `{"error":{"message":"Quota exceeded, limit: 20, model: m","code":429}}`, fault.Throttled, ""},
		{429, `Too many`, fault.Throttled, "Too many"},
		{400, `{"error":{"status":"FAILED_PRECONDITION","message":"User location is not supported for the API use."}}`, fault.ModelGone, ""},
		{400, `{"error":{"status":"INVALID_ARGUMENT","message":"The input token count (9) exceeds"}}`, fault.ContextOverflow, ""},
		{400, `{"error":{"status":"INVALID_ARGUMENT","message":"Function calling with a response mime type is unsupported"}}`, fault.Invalid, ""},
		{404, `{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}`, fault.ModelGone, "not found"},
		{404, `404 page not found`, fault.ModelGone, "404"},
		{500, `{"error":{"code":500,"message":"internal","status":"INTERNAL"}}`, fault.Transient, ""},
		{503, `<html>busy</html>`, fault.Overloaded, "Service Unavailable"},
		{501, `{"error":{"status":"UNIMPLEMENTED"}}`, fault.Transient, ""},
		{413, ``, fault.Invalid, "413"},
		{400, `{"message":"outer"}`, fault.Invalid, "outer"},
		{400, `{"error":{"code":"UNAVAILABLE","message":"a gateway's way"}}`, fault.Overloaded, ""},
		{204, ``, fault.Unknown, "204"},
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
	for _, names := range []map[string]fault.Kind{table.Codes, table.Vague} {
		for name, kind := range names {
			if name != strings.ToLower(name) || !slices.Contains(kinds, kind) {
				t.Errorf("%q: %q", name, kind)
			}
		}
	}
	for name := range table.Vague {
		if _, ok := table.Codes[name]; ok {
			t.Errorf("%q is in both tables", name)
		}
	}
	for _, row := range table.Texts {
		if row.Text != strings.ToLower(row.Text) || !slices.Contains(kinds, row.Kind) || len(row.Statuses) == 0 {
			t.Errorf("%+v", row)
		}
	}
	for name, f := range finishes {
		if (f.finish == "") == (f.kind == "") || name != strings.ToUpper(name) {
			t.Errorf("%q: %+v", name, f)
		}
	}
}

func TestDelaysAreRead(t *testing.T) {
	for in, want := range map[string]time.Duration{
		`"36s"`: 36 * time.Second, `"36.5s"`: 36500 * time.Millisecond, `"0s"`: 0, `"-3s"`: 0, `"soon"`: 0, `7`: 0, `null`: 0, ``: 0,
		`{"seconds":5,"nanos":500000000}`: 5500 * time.Millisecond, `{"seconds":"5"}`: 5 * time.Second, `{"nanos":1}`: 1,
		`"1e300s"`: model.MaxHint, `{"seconds":1e12,"nanos":5}`: model.MaxHint,
	} {
		if got := delay(json.RawMessage(in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
