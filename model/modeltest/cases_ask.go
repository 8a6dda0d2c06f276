package modeltest

import (
	"bytes"
	"encoding/json"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// askCases are about requests that ask for more than text: files, a schema, no calls.
func askCases(f *profile) []*testCase {
	schema := json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}`)
	shaped := question("how many?")
	shaped.Schema = schema
	quiet := fullRequest()
	quiet.NoCalls = true
	return []*testCase{
		{name: "files reach the server", check: filesArrive},
		{name: "a file of a type that the provider cannot send is refused before it is sent", check: func(p *probe) {
			if o := p.generate(p.ctx, withFiles(&model.File{MediaType: "application/x-nothing-known", Data: []byte("?")})); o != nil {
				p.expectKind(o, fault.Unsupported)
				p.expect(p.server.Count() == 0, "the server got %d requests", p.server.Count())
			}
		}},
		{name: "the wanted schema reaches the server", req: shaped, replies: say(`{"n":4}`), verify: func(p *probe, o *outcome) {
			p.expect(o.text() == `{"n":4}`, "the answer is %q", o.text())
			got := p.server.Requests()[0].Request
			p.expect(f.cannotSchema || got != nil && sameJSON(got.Schema, schema), "the schema did not arrive")
		}},
		{name: "the wish for no calls reaches the server", req: quiet, verify: func(p *probe, _ *outcome) {
			got := p.server.Requests()[0].Request
			p.expect(f.cannotNoCalls || got != nil && got.NoCalls, "the wish did not arrive")
			p.expect(got != nil && len(got.Tools) == len(quiet.Tools), "the tools did not arrive")
		}},
		{name: "no calls and no tools", replies: say("words"), req: &model.Request{
			Model: modelName, NoCalls: true, Messages: []model.Message{model.UserText("x")},
		}, verify: func(p *probe, o *outcome) { p.expect(o.text() == "words", "the answer is %q", o.text()) }},
	}
}

// withFiles is a question with files.
func withFiles(files ...*model.File) *model.Request {
	req := question("What is in these?")
	for _, f := range files {
		f.Size = int64(len(f.Data))
		req.Messages[0].Parts = append(req.Messages[0].Parts, model.Part{File: f})
	}
	return req
}

// filesArrive sends a file of each type that every provider has to know. A text may arrive as a file or in the words of
// the message.
func filesArrive(p *probe) {
	image := &model.File{Name: "dot.png", MediaType: "image/png", Data: []byte("\x89PNG\r\n\x1a\n not really")}
	paper := &model.File{Name: "paper.pdf", MediaType: "application/pdf", Data: []byte("%PDF-1.7 not really")}
	note := &model.File{Name: "note.txt", MediaType: "text/plain", Data: []byte("words of a note")}
	o := p.generate(p.ctx, withFiles(image, paper, note))
	if o == nil || !p.expect(o.err == nil, "Generate failed: %v", o.err) {
		return
	}
	got := p.server.Requests()[0].Request
	if !p.expect(got != nil && len(got.Messages) == 1, "the server could not read the request") {
		return
	}
	for _, want := range []*model.File{image, paper, note} {
		found := want == note && bytes.Contains([]byte(got.Messages[0].Text()), note.Data)
		for _, part := range got.Messages[0].Parts {
			f := part.File
			found = found || f != nil && f.MediaType == want.MediaType && bytes.Equal(f.Data, want.Data)
		}
		p.expect(found, "the file %s did not arrive", want.Name)
	}
	p.expect(bytes.Contains([]byte(got.Messages[0].Text()), []byte("What is in these?")), "the question did not arrive")
}
