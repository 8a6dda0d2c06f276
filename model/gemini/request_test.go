package gemini

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

func called(id, name, args string) model.Part {
	return model.Part{Call: &model.Call{ID: id, Name: name, Args: json.RawMessage(args)}}
}

func said(id, name, content string, isError bool) model.Message {
	return model.Message{Role: model.ToolRole, Parts: []model.Part{{
		Result: &model.Result{CallID: id, Name: name, Content: content, IsError: isError},
	}}}
}

// conversation has what is hard to send: results in another order than the calls, ids that repeat, empty messages.
func conversation() []model.Message {
	return []model.Message{
		{Role: model.User, Parts: []model.Part{
			{Text: "look"},
			{File: &model.File{MediaType: "image/png", Data: []byte("png")}},
			{File: &model.File{MediaType: "text/csv; charset=utf-8", Data: []byte("a,b")}},
		}},
		{Role: model.Assistant, Parts: []model.Part{
			{Text: "I look."}, called("a", "f", `{"n":12345678901234567890}`), called("a", "g", ""), called("", "f", "null"),
		}},
		said("", "f", "third", true),
		said("a", "g", "second", false),
		said("a", "f", "first", false),
		{Role: model.Assistant},
		model.UserText("go on"),
		{Role: model.Assistant, Parts: []model.Part{called("a", "f", "{}")}},
		said("a", "f", "", false),
	}
}

var requests = map[string]*model.Request{
	"plain": {Model: "gemini-2.5-flash", Messages: []model.Message{model.UserText("hi")}},
	"full": {
		Model: "gemini-2.5-flash", Instructions: "Be brief.", MaxTokens: 7, Temperature: new(0.7),
		Schema: json.RawMessage(`{"type":"object"}`), NoCalls: true, Messages: conversation(),
		Tools: []model.Tool{
			{Name: "f", Description: "does f", Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"maximum":12345678901234567890}}}`)},
			{Name: "g"},
		},
	},
	"newer": {
		Model: "gemini-3.1-pro", Schema: json.RawMessage(`{"type":"object"}`), Messages: conversation(), Tools: []model.Tool{{Name: "f"}},
	},
	"schema": {Model: "gemini-2.5-flash", Schema: json.RawMessage(`{"type":"object"}`), Messages: []model.Message{model.UserText("hi")}},
}

func TestRequestsAreWrittenAsTheyWere(t *testing.T) {
	for name, req := range requests {
		t.Run(name, func(t *testing.T) {
			var got []byte
			p := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				w.Header().Set("Content-Type", stream)
				_, _ = io.WriteString(w, sse(say(`{"text":"hi"}`, "STOP")))
			})
			if _, err := p.Generate(t.Context(), req, nil); err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			file := "testdata/request-" + name + ".json"
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(pretty.Bytes(), want) {
				t.Errorf("%v, got %s", err, &pretty)
			}
		})
	}
}

func TestWhatCannotBeSentIsRefusedBefore(t *testing.T) {
	p := against(t, Config{}, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	file := func(media, data string) []model.Message {
		return []model.Message{{Role: model.User, Parts: []model.Part{{File: &model.File{MediaType: media, Data: []byte(data)}}}}}
	}
	hi := []model.Message{model.UserText("hi")}
	for name, c := range map[string]struct {
		req  *model.Request
		want fault.Kind
	}{
		"role":        {&model.Request{Model: "m", Messages: []model.Message{{Role: "elf"}}}, fault.Invalid},
		"tool schema": {&model.Request{Model: "m", Messages: hi, Tools: []model.Tool{{Name: "f", Parameters: json.RawMessage(`{`)}}}, fault.Invalid},
		"schema":      {&model.Request{Model: "m", Messages: hi, Schema: json.RawMessage(`{`)}, fault.Invalid},
		"no model":    {&model.Request{Messages: hi}, fault.Invalid},
		"other path":  {&model.Request{Model: "../x", Messages: hi}, fault.Invalid},
		"no message":  {&model.Request{Model: "m", Messages: []model.Message{model.UserText("")}}, fault.Invalid},
		"arguments": {&model.Request{Model: "m", Messages: []model.Message{
			{Role: model.Assistant, Parts: []model.Part{called("a", "f", "[]")}},
		}}, fault.Invalid},
		"a film":          {&model.Request{Model: "m", Messages: file("video/mp4", "x")}, fault.Unsupported},
		"a moving image":  {&model.Request{Model: "m", Messages: file("image/gif", "x")}, fault.Unsupported},
		"no media type":   {&model.Request{Model: "m", Messages: file("", "x")}, fault.Unsupported},
		"text in Latin-1": {&model.Request{Model: "m", Messages: file("text/plain", "\xe9")}, fault.Unsupported},
		"an empty image":  {&model.Request{Model: "m", Messages: file("image/png", "")}, fault.Invalid},
	} {
		if _, err := p.Generate(t.Context(), c.req, nil); fault.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestTheGenerationOfAModelIsRead(t *testing.T) {
	for name, want := range map[string]int{
		"gemini-2.5-pro": 2, "models/gemini-3-flash": 3, "gemini-10-x": 10, "test-model": 0, "gemini-flash-latest": 0, "mygemini-3": 0,
		"gemini-99999999999999999999": 0,
	} {
		if got := generationOf(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}
