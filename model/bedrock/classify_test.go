package bedrock

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
)

func TestBodiesOfAllShapesAreClassified(t *testing.T) {
	cases := []struct {
		status       int
		header, body string
		want         fault.Kind
		text         string
	}{
		{429, "ThrottlingException:http://internal.amazon.com/coral/", `{"message":"Too many tokens, please wait"}`, fault.Throttled, "429 ThrottlingException: Too many tokens"},
		{429, "", `{"__type":"com.amazon.coral.service#ThrottlingException","message":"x"}`, fault.Throttled, "429 ThrottlingException: x"},
		{429, "ThrottlingException", `{"message":"Too many requests per day"}`, fault.Quota, ""},
		{429, "ModelNotReadyException", `{}`, fault.Overloaded, ""},
		{400, "", `{"code":"ServiceQuotaExceededException"}`, fault.Quota, ""},
		{400, "ValidationException", `{"message":"The model returned the following errors: Input is too long for requested model."}`, fault.ContextOverflow, ""},
		{400, "ValidationException", `{"message":"Invocation of model ID x with on-demand throughput isn’t supported."}`, fault.ModelGone, ""},
		{400, "ValidationException", `{"message":"Output blocked by content filtering policy"}`, fault.Refused, ""},
		{400, "ValidationException", `{"Message":"Malformed input request"}`, fault.Invalid, "Malformed"},
		{403, "AccessDeniedException", `{"Message":"User is not authorized"}`, fault.Auth, "not authorized"},
		{403, "AccessDeniedException", `{"message":"You don't have access to the model with the specified model ID."}`, fault.ModelGone, ""},
		{403, "", `{"Message":"Authentication failed: Please make sure your API Key is valid."}`, fault.Auth, ""},
		{403, "InvalidSignatureException", `{"message":"Signature expired"}`, fault.Auth, ""},
		{404, "ResourceNotFoundException", `{"message":"Model use case details have not been submitted"}`, fault.ModelGone, ""},
		{404, "", `<UnknownOperationException/>`, fault.ModelGone, "Not Found"},
		{424, "ModelErrorException", `{"message":"x","originalStatusCode":"400"}`, fault.Invalid, ""},
		{424, "ModelErrorException", `{"message":"x","originalStatusCode":500,"resourceName":"r"}`, fault.Transient, ""},
		{424, "ModelErrorException", `{"message":"x","originalStatusCode":7}`, fault.Transient, ""},
		{408, "ModelTimeoutException", ``, fault.Transient, "Request Timeout"},
		{500, "InternalServerException", `{"message":"x"}`, fault.Transient, ""},
		{503, "ServiceUnavailableException", `{"message":"Too many connections"}`, fault.Overloaded, ""},
		{529, "", `{"message":"Overloaded"}`, fault.Overloaded, ""},
		{502, "", `<html></html>`, fault.Transient, "Bad Gateway"},
		{413, "", ``, fault.Invalid, "413"},
		{204, "", ``, fault.Unknown, "204"},
	}
	var at int
	p := against(t, Config{APIKey: testKey}, func(w http.ResponseWriter, _ *http.Request) {
		c := cases[at]
		if c.header != "" {
			w.Header().Set("X-Amzn-Errortype", c.header)
		}
		w.WriteHeader(c.status)
		if c.status != http.StatusNoContent {
			_, _ = w.Write([]byte(c.body))
		}
	})
	for i, c := range cases {
		at = i
		_, err := p.Generate(t.Context(), ask("x"), nil)
		if fault.KindOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%d %s %s: got %s: %v, want %s: %q", c.status, c.header, c.body, fault.KindOf(err), err, c.want, c.text)
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
	for name := range passedOn {
		if _, ok := table.Codes[name]; ok {
			t.Errorf("%q would not be judged by what it passes on", name)
		}
	}
	for _, row := range table.Texts {
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
