package bedrock

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
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

func file(name, media, data string) model.Part {
	return model.Part{File: &model.File{Name: name, MediaType: media, Data: []byte(data)}}
}

// longTalk has what is hard to send: neighbours of one side, ids that repeat or have odd letters, blank texts.
func longTalk() []model.Message {
	return []model.Message{
		model.UserText("first"),
		{Role: model.User, Parts: []model.Part{
			file("../a  b_c.pdf", "application/pdf", "%PDF"), file("", "text/csv", "a,b"), file("x.png", "image/png", "png"),
		}},
		{Role: model.Assistant, Parts: []model.Part{
			{Text: "I look."}, called("a", "f", `{"n":12345678901234567890}`), called("a", "g", ""), called("what?", "f", "null"),
		}},
		said("a", "f", "first", false),
		said("a", "g", "no such thing", true),
		said("what?", "f", " ", false),
		model.UserText("go on"),
		{Role: model.Assistant, Parts: []model.Part{{Text: " "}}},
		model.UserText("please"),
	}
}

var requests = map[string]*model.Request{
	"plain": {Model: "m", Messages: []model.Message{model.UserText("hi")}},
	"full": {
		Model: "eu.anthropic.claude-x", Instructions: "Be brief.", MaxTokens: 7, Temperature: new(0.7),
		Schema: json.RawMessage(`{"type":"object"}`), NoCalls: true, Messages: longTalk(),
		Tools: []model.Tool{
			{Name: "f", Description: "does f", Parameters: json.RawMessage(`{"type":"object","properties":{"n":{"maximum":12345678901234567890}}}`)},
			{Name: "g"},
		},
	},
	"without-tools": {Model: "meta.llama", Messages: longTalk()},
}

func TestRequestsAreWrittenAsTheyWere(t *testing.T) {
	for name, req := range requests {
		t.Run(name, func(t *testing.T) {
			var got []byte
			p := against(t, Config{APIKey: testKey, Schemas: name == "full"}, func(w http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				_, _ = w.Write(frames(delta, hi, stop, ended))
			})
			if _, err := p.Generate(t.Context(), req, nil); err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := "testdata/request-" + name + ".json"
			if *update {
				if err := os.WriteFile(golden, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(pretty.Bytes(), want) {
				t.Errorf("%v, got %s", err, &pretty)
			}
		})
	}
}

func TestWhatCannotBeSentIsRefusedBefore(t *testing.T) {
	p := against(t, Config{APIKey: testKey, Schemas: true}, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	with := func(parts ...model.Part) []model.Message { return []model.Message{{Role: model.User, Parts: parts}} }
	hello := []model.Message{model.UserText("hi")}
	for name, c := range map[string]struct {
		req  *model.Request
		want fault.Kind
	}{
		"role":        {&model.Request{Model: "m", Messages: []model.Message{{Role: "elf"}}}, fault.Invalid},
		"tool schema": {&model.Request{Model: "m", Messages: hello, Tools: []model.Tool{{Name: "f", Parameters: json.RawMessage(`{`)}}}, fault.Invalid},
		"schema":      {&model.Request{Model: "m", Messages: hello, Schema: json.RawMessage(`{`)}, fault.Invalid},
		"no model":    {&model.Request{Messages: hello}, fault.Invalid},
		"no message":  {&model.Request{Model: "m", Messages: []model.Message{model.UserText(" ")}}, fault.Invalid},
		"arguments": {&model.Request{Model: "m", Messages: []model.Message{
			{Role: model.Assistant, Parts: []model.Part{called("a", "f", "[]")}},
		}}, fault.Invalid},
		"a film":          {&model.Request{Model: "m", Messages: with(file("", "video/mp4", "x"))}, fault.Unsupported},
		"no media type":   {&model.Request{Model: "m", Messages: with(file("", "", "x"))}, fault.Unsupported},
		"text in Latin-1": {&model.Request{Model: "m", Messages: with(file("", "text/plain", "\xe9"))}, fault.Unsupported},
		"an empty image":  {&model.Request{Model: "m", Messages: with(file("", "image/png", ""))}, fault.Invalid},
	} {
		if _, err := p.Generate(t.Context(), c.req, nil); fault.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func TestDocumentsGetNamesThatAreTaken(t *testing.T) {
	for name, want := range map[string]string{
		"": "document 3", "a.pdf": "a pdf 3", "  x  y\t": "x y 3", "語": "document 3", "[a] (b)-c": "[a] (b)-c 3",
		strings.Repeat("x", 300): strings.Repeat("x", 100) + " 3",
	} {
		if got := documentName(name, 3); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
