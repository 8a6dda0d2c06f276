package modeltest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel/model/modeltest"
)

// send posts a body to an address of a server and returns status, error name of the header, and body.
func send(t *testing.T, url, body string) (int, string, string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("X-Amzn-Errortype"), string(data)
}

func TestGeminisFormatRefusesWhatTheRealOneWouldRefuse(t *testing.T) {
	const (
		user   = `{"role":"user","parts":[{"text":"x"}]}`
		called = `{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g"}}]}`
		fSaid  = `{"functionResponse":{"name":"f","response":{"output":"1"}}}`
		gSaid  = `{"functionResponse":{"name":"g","response":{"output":"2"}}}`
		tools  = `"tools":[{"functionDeclarations":[{"name":"f"}]}]`
	)
	_, url := serve(t, modeltest.ServerConfig{})
	said := func(parts string) string { return user + "," + called + `,{"role":"user","parts":[` + parts + `]}` }
	for name, c := range map[string]struct {
		model, fields string
		want          int
	}{
		"a question":                     {"m", `"contents":[` + user + `]`, 200},
		"all results, in order":          {"m", `"contents":[` + said(fSaid+","+gSaid) + `]`, 200},
		"nothing":                        {"m", `"contents":[]`, 400},
		"an unknown role":                {"m", `"contents":[{"role":"elf","parts":[{"text":"x"}]}]`, 400},
		"no parts":                       {"m", `"contents":[{"role":"user"}]`, 400},
		"an odd part":                    {"m", `"contents":[{"role":"user","parts":[{}]}]`, 400},
		"calls at the end":               {"m", `"contents":[` + user + "," + called + `]`, 400},
		"a missing result":               {"m", `"contents":[` + said(fSaid) + `]`, 400},
		"a result twice":                 {"m", `"contents":[` + said(fSaid+","+fSaid) + `]`, 400},
		"a result without a call":        {"m", `"contents":[{"role":"user","parts":[` + fSaid + `]}]`, 400},
		"a call without its signature":   {"gemini-3-pro", `"contents":[` + said(fSaid+","+gSaid) + `]`, 400},
		"tools and a schema":             {"m", tools + `,"contents":[` + user + `],"generationConfig":{"responseMimeType":"application/json"}`, 400},
		"tools and a schema, newer":      {"gemini-3-pro", tools + `,"contents":[` + user + `],"generationConfig":{"responseMimeType":"application/json"}`, 200},
		"a schema without its mime type": {"m", `"contents":[` + user + `],"generationConfig":{"responseJsonSchema":{}}`, 400},
	} {
		status, _, text := send(t, url+"/v1beta/models/"+c.model+":generateContent", "{"+c.fields+"}")
		if status != c.want || c.want == 400 && !strings.Contains(text, "INVALID_ARGUMENT") {
			t.Errorf("%s: got %d %s, want %d", name, status, text, c.want)
		}
	}
	if status, _, _ := send(t, url+"/v1beta/models/m:countTokens", `{}`); status != 400 {
		t.Errorf("another method: got %d", status)
	}
}

func TestBedrocksFormatRefusesWhatTheRealOneWouldRefuse(t *testing.T) {
	const (
		user   = `{"role":"user","content":[{"text":"x"}]}`
		called = `{"role":"assistant","content":[{"toolUse":{"toolUseId":"a","name":"f","input":{}}}]}`
		answer = `{"role":"user","content":[{"toolResult":{"toolUseId":"a","content":[{"text":"1"}]}}]}`
		tools  = `"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}]},`
		paper  = `{"document":{"format":"pdf","name":"a 1","source":{"bytes":"JVBERg=="}}}`
	)
	_, url := serve(t, modeltest.ServerConfig{})
	for name, c := range map[string]struct {
		fields, messages string
		want             int
	}{
		"a question":            {"", user, 200},
		"a result":              {tools, user + "," + called + "," + answer, 200},
		"a document":            {"", `{"role":"user","content":[` + paper + `,{"text":"x"}]}`, 200},
		"nothing":               {"", "", 400},
		"two of one side":       {"", user + "," + user, 400},
		"the assistant first":   {tools, called, 400},
		"an empty message":      {"", `{"role":"user","content":[]}`, 400},
		"a blank text":          {"", `{"role":"user","content":[{"text":" "}]}`, 400},
		"a document alone":      {"", `{"role":"user","content":[` + paper + `]}`, 400},
		"a document twice":      {"", `{"role":"user","content":[` + paper + `,` + paper + `,{"text":"x"}]}`, 400},
		"calls without tools":   {"", user + "," + called + "," + answer, 400},
		"no tools":              {`"toolConfig":{"tools":[]},`, user, 400},
		"a call at the end":     {tools, user + "," + called, 400},
		"an odd call id":        {tools, user + "," + strings.Replace(called, `"a"`, `"a?"`, 1), 400},
		"a reply to no call":    {tools, answer, 400},
		"a result after a text": {tools, user + "," + called + "," + strings.Replace(answer, `[{"tool`, `[{"text":"x"},{"tool`, 1), 400},
		"a schema that is none": {`"outputConfig":{"textFormat":{"type":"json_schema"}},`, user, 400},
	} {
		status, typ, text := send(t, url+"/model/m/converse", "{"+c.fields+`"messages":[`+c.messages+"]}")
		if status != c.want || c.want == 400 && !strings.HasPrefix(typ, "ValidationException") {
			t.Errorf("%s: got %d %s %s, want %d", name, status, typ, text, c.want)
		}
	}
}

// The frames are written by hand; this is the example of a whole frame in AWS's own terms: lengths, checksums, headers.
func TestBedrocksFramesAreExact(t *testing.T) {
	_, url := serve(t, modeltest.ServerConfig{})
	_, _, body := send(t, url+"/model/m/converse-stream", `{"messages":[{"role":"user","content":[{"text":"x"}]}]}`)
	want := "\x00\x00\x00\x76\x00\x00\x00\x52\x96\xd5\xfa\xde" // 118 bytes in all, 82 of them headers, and their checksum
	if !strings.HasPrefix(body, want) || !bytes.Contains([]byte(body), []byte("\x0b:event-type\x07\x00\x0cmessageStart")) {
		t.Errorf("the stream begins with %q", body[:min(len(body), 130)])
	}
}
