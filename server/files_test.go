package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/agentkernel/agentkernel"
	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
	"github.com/agentkernel/agentkernel/session"
)

const (
	png  = "\x89PNG\x0D\x0A\x1A\x0A and what else an image has"
	jpeg = "\xFF\xD8\xFF and what else"
	pdf  = "%PDF-1.7 and what else"
)

// looker answers at once, and tells which files it was shown.
type looker struct{ seen chan []model.File }

func (l *looker) Generate(_ context.Context, req *model.Request, _ func(model.Chunk)) (*model.Answer, error) {
	var files []model.File
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			if p.File != nil {
				files = append(files, *p.File)
			}
		}
	}
	l.seen <- files
	return &model.Answer{Message: model.Message{Role: model.Assistant, Parts: []model.Part{{Text: "seen"}}}, Finish: model.FinishStop, Usage: model.Usage{Input: 1000, Output: 500}}, nil
}

// lookSite is a site whose first agent tells which files it was shown.
func lookSite(t *testing.T, change ...func(*agentkernel.Config, *Config)) (*site, *looker) {
	l := &looker{seen: make(chan []model.File, 64)}
	return newSite(t, append([]func(*agentkernel.Config, *Config){func(c *agentkernel.Config, _ *Config) {
		c.Models["look"] = l
		c.Agents = append([]*agentkernel.Agent{{Name: "looking", Model: "look/one"}}, c.Agents...)
	}}, change...)...), l
}

// part is a part of a form.
type part struct{ disposition, media, content string }

func fieldPart(name, value string) part {
	return part{fmt.Sprintf(`form-data; name=%q`, name), "", value}
}

func filePart(field, name, media, content string) part {
	return part{fmt.Sprintf(`form-data; name=%q; filename=%q`, field, name), media, content}
}

const boundary = "a-boundary-for-tests"

func form(t *testing.T, parts ...part) string {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := w.SetBoundary(boundary)
	for _, p := range parts {
		h := textproto.MIMEHeader{}
		if p.disposition != "" {
			h.Set("Content-Disposition", p.disposition)
		}
		if p.media != "" {
			h.Set("Content-Type", p.media)
		}
		var dst io.Writer
		if err == nil {
			dst, err = w.CreatePart(h)
		}
		if err == nil {
			_, err = io.WriteString(dst, p.content)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const formType = "multipart/form-data; boundary=" + boundary

func (x *site) form(body string, header ...string) reply {
	x.t.Helper()
	return x.do("POST", multipartPath, body, append([]string{"Content-Type", formType}, header...)...)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func jsonFile(name, media, content string) string {
	b, _ := json.Marshal(map[string]string{"name": name, "media_type": media, "data": b64(content)})
	return string(b)
}

func TestFilesReachTheModelAndAreNamedInTheConversation(t *testing.T) {
	for _, way := range []string{"JSON", "form"} {
		x, l := lookSite(t)
		ask := func(header ...string) reply {
			if way == "form" {
				return x.form(form(t, fieldPart("prompt", "look"), fieldPart("session_id", "s"), fieldPart("mode", "fast"),
					filePart("files", `C:\bills\bill.pdf`, "application/pdf", pdf), filePart("images", "../cat.png", "", png)), header...)
			}
			return x.chat(`{"prompt":"look","session_id":"s","mode":"fast","files":[`+jsonFile(`C:\bills\bill.pdf`, "application/pdf", pdf)+`,`+jsonFile("../cat.png", "", png)+`]}`, header...)
		}
		as[ChatReply](t, ask(), 200)
		seen := until(t, l.seen, "the model to be asked")
		if len(seen) != 2 || string(seen[0].Data) != pdf || string(seen[1].Data) != png || seen[0].MediaType != "application/pdf" || seen[1].MediaType != "image/png" {
			t.Fatalf("%s: the model saw %+v", way, seen)
		}
		sum := sha256.Sum256([]byte(pdf))
		r := x.do("GET", "/api/v1/sessions/s/messages", "")
		list := as[MessageList](t, r, 200)
		var files []model.File
		for _, p := range list.Messages[0].Parts {
			if p.File != nil {
				files = append(files, *p.File)
			}
		}
		if len(files) != 2 || files[0].Name != "bill.pdf" || files[0].MediaType != "application/pdf" || files[0].Size != int64(len(pdf)) ||
			files[0].Digest != hex.EncodeToString(sum[:]) || files[1].Name != "cat.png" {
			t.Errorf("%s: %s", way, r.body)
		}
		for _, path := range []string{"/messages", "/journal"} {
			b := x.do("GET", "/api/v1/sessions/s"+path, "").body
			if bytes.Contains(b, []byte("%PDF")) || bytes.Contains(b, []byte(b64(pdf))) || bytes.Contains(b, []byte(`"data"`)) {
				t.Errorf("%s: %s shows the content: %s", way, path, b)
			}
		}
		page := as[JournalPage](t, x.do("GET", "/api/v1/sessions/s/journal", ""), 200)
		if got := string(page.Records[0].Events[0].Accepted.Extra); got != `{"mode":"fast"}` {
			t.Errorf("%s: extra is %s", way, got)
		}
	}
}

func TestAFormIsTheSameRequestAsItsJSON(t *testing.T) {
	x, _ := lookSite(t)
	body := `{"prompt":"look","mode":"fast","files":[` + jsonFile("cat.png", "image/png", png) + `]}`
	parts := []part{fieldPart("mode", "fast"), filePart("files", "cat.png", "image/png", png), fieldPart("prompt", "look")}
	first := as[ChatReply](t, x.chat(body, "Idempotency-Key", "k"), 200)
	again := as[ChatReply](t, x.form(form(t, parts...), "Idempotency-Key", "k"), 200)
	if again.Turn != first.Turn {
		t.Errorf("turn %s, not %s", again.Turn, first.Turn)
	}
	parts[1].content = png + "!"
	problem(t, x.form(form(t, parts...), "Idempotency-Key", "k"), 422, fault.KeyMismatch)
}

func TestAFormIsAnsweredLikeAChat(t *testing.T) {
	x := newSite(t)
	hello := form(t, fieldPart("prompt", "hello"), fieldPart("agent", "scripted"))
	events := x.open("POST", multipartPath, hello, "Content-Type", formType).rest()
	if last := events[len(events)-1]; last.event != agentkernel.EventDone {
		t.Errorf("%+v", events)
	}
	r := x.form(form(t, fieldPart("prompt", "hello"), fieldPart("agent", "held")), "Prefer", "respond-async")
	p := as[Pending](t, r, 202)
	if r.Header.Get("Location") != "/api/v1/turns/"+p.Turn {
		t.Errorf("%v", r.Header)
	}
	until(t, x.holding, "the turn to run")
	x.hold <- struct{}{}
	x.settled(p.Turn)
	problem(t, x.form(hello, "Idempotency-Key", "a", "Idempotency-Key", "b"), 400, fault.BadRequest)
	problem(t, x.form(form(t, fieldPart("prompt", "hello"), fieldPart("agent", "refusing"))), 422, fault.Refused)
}

// smallFiles are limits that tests can meet.
func smallFiles(_ *agentkernel.Config, c *Config) {
	c.MaxFiles, c.MaxFileSize, c.MaxBody = 2, 1000, 3000
}

func TestBadFilesAreRefusedAndSayWhy(t *testing.T) {
	x := newSite(t, smallFiles)
	large := strings.Repeat("x", 1001)
	for _, c := range []struct {
		name, files string
		status      int
		says        string
	}{
		{"not a list", `{}`, 400, "body.files: expected array"},
		{"a text", `"x"`, 400, "body.files: expected array"},
		{"not an object", `["x"]`, 400, "body.files[0]: expected object"},
		{"null in it", `[null]`, 400, "body.files[0]: expected object"},
		{"no data", `[{"name":"x"}]`, 400, "body.files[0]: expected required property data"},
		{"data is null", `[{"data":null}]`, 400, "body.files[0].data: expected string"},
		{"data is a list", `[{"data":[]}]`, 400, "body.files[0].data: expected string"},
		{"name is a number", `[{"name":1,"data":"eA=="}]`, 400, "body.files[0].name: expected string"},
		{"another field", `[{"data":"eA==","size":1}]`, 400, "body.files[0].size: unexpected property"},
		{"a field twice", `[{"data":"eA==","data":"eA=="}]`, 400, `"data" twice`},
		{"not base64", `[{"data":"!!"}]`, 400, "body.files[0].data: illegal base64"},
		{"base64 without padding", `[{"data":"eA"}]`, 400, "body.files[0].data: illegal base64"},
		{"base64 with leftover bits", `[{"data":"eB=="}]`, 400, "body.files[0].data: illegal base64"},
		{"a data URL", `[{"data":"data:text/plain;base64,eA=="}]`, 400, "body.files[0].data: illegal base64"},
		{"empty", `[{"name":"n","data":""}]`, 400, "files[0] (n) is empty"},
		{"cut off", `[{"data":"eA`, 400, "body: unexpected end"},
		{"a media type that is none", `[{"media_type":"what is","data":"eA=="}]`, 400, `"what is", which is none`},
		{"a media type that is not taken", `[{"name":"p","media_type":"application/zip","data":"eA=="}]`, 415, "files[0] (p) is application/zip"},
		{"an image that is not taken", `[{"media_type":"image/svg+xml","data":"eA=="}]`, 415, "files[0] is image/svg+xml"},
		{"unknown content", `[` + jsonFile("x", "", "\x00\x01\x02") + `]`, 415, "is application/octet-stream"},
		{"not the image that it says", `[` + jsonFile("x", "image/png", jpeg) + `]`, 415, "declared as image/png, but its content is image/jpeg"},
		{"not an image at all", `[` + jsonFile("x", "image/png", "<script>") + `]`, 415, "declared as image/png"},
		{"an image that says text", `[` + jsonFile("x", "text/plain", png) + `]`, 415, "its content is image/png"},
		{"not text", `[` + jsonFile("x", "text/plain", "\xff\xfe") + `]`, 415, "not text in UTF-8"},
		{"too large", `[` + jsonFile("ok", "text/plain", "x") + `,` + jsonFile("big.txt", "text/plain", large) + `]`, 413, "files[1] (big.txt) has more than 1000 bytes"},
		{"far too large", `[` + jsonFile("big.txt", "text/plain", strings.Repeat(large, 3)) + `]`, 413, "has more than 1000 bytes"},
		{"too many", `[` + jsonFile("", "", "x") + `,` + jsonFile("", "", "x") + `,` + jsonFile("", "", "x") + `]`, 413, "more than 2 files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := x.chat(`{"prompt":"hello","files":` + c.files + `}`)
			p := problem(t, r, c.status, map[int]fault.Kind{400: fault.BadRequest, 413: fault.TooLarge, 415: fault.Unsupported}[c.status])
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("it says %q, not %q", p.Detail, c.says)
			}
			if c.status == 415 && !strings.Contains(p.Try, "image/png") {
				t.Errorf("it does not say what is taken: %q", p.Try)
			}
		})
	}
	problem(t, x.chat(`{"prompt":"hello","files":[],"files":[]}`), 400, fault.BadRequest)
	problem(t, x.chat(`{"prompt":"hello","x":"`+strings.Repeat("x", 3000)+`"}`), 413, fault.TooLarge)
	problem(t, x.chat(`{"files":[`+jsonFile("x", "", "x")+`]}`), 400, fault.BadRequest)
	if turns := as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200); len(turns.Turns) != 0 {
		t.Errorf("a refused request made %d turns", len(turns.Turns))
	}
	whole := strings.Repeat("x", 1000)
	for _, files := range []string{`null`, `[]`, `[` + jsonFile("", "text/csv; charset=utf-8", whole) + `,` + jsonFile("x", "application/octet-stream", jpeg) + `]`} {
		as[ChatReply](t, x.chat(`{"prompt":"hello","files":`+files+`,"x":"`+strings.Repeat("x", 2600)+`"}`), 200)
	}
}

func TestBadFormsAreRefusedAndSayWhy(t *testing.T) {
	x := newSite(t, smallFiles)
	prompt := fieldPart("prompt", "hello")
	large := strings.Repeat("x", 1001)
	end := "--" + boundary + "--\r\n"
	for _, c := range []struct {
		name   string
		body   string
		header []string
		status int
		says   string
	}{
		{"no boundary", form(t, prompt), []string{"Content-Type", "multipart/form-data"}, 400, "no boundary"},
		{"a long boundary", form(t, prompt), []string{"Content-Type", "multipart/form-data; boundary=" + strings.Repeat("b", 71)}, 400, "no boundary"},
		{"another boundary", form(t, prompt), []string{"Content-Type", "multipart/form-data; boundary=other"}, 400, "before its last boundary"},
		{"JSON", `{"prompt":"hello"}`, []string{"Content-Type", jsonType}, 415, "only a multipart/form-data form"},
		{"another multipart", form(t, prompt), []string{"Content-Type", "multipart/mixed; boundary=" + boundary}, 415, "only a multipart/form-data form"},
		{"no media type", form(t, prompt), []string{"Content-Type", ""}, 415, "only a multipart/form-data form"},
		{"empty", "", nil, 400, "the body is empty"},
		{"no form", "prompt=hello", nil, 400, "before its last boundary"},
		{"no parts", end, nil, 400, "no field prompt"},
		{"cut in a field", form(t, prompt)[:60], nil, 400, "before its last boundary"},
		{"cut in a file", strings.TrimSuffix(form(t, prompt, filePart("files", "x", "", "hello")), "\r\n"+end), nil, 400, "before its last boundary"},
		{"no prompt", form(t, fieldPart("agent", "scripted")), nil, 400, "no field prompt"},
		{"an empty prompt", form(t, fieldPart("prompt", "")), nil, 400, "prompt is empty"},
		{"two prompts", form(t, prompt, prompt), nil, 400, `"prompt" twice`},
		{"an extra field twice", form(t, prompt, fieldPart("x", "1"), fieldPart("x", "2")), nil, 400, `"x" twice`},
		{"a part without a name", form(t, prompt, part{"form-data", "", "x"}), nil, 400, "has no name"},
		{"a part without a disposition", form(t, prompt, part{"", "", "x"}), nil, 400, "has no name"},
		{"a part that is an attachment", form(t, prompt, part{`attachment; name="x"`, "", "x"}), nil, 400, "has no name"},
		{"a name that is not UTF-8", form(t, prompt, part{"form-data; name=\"\xff\"", "", "x"}), nil, 400, "has no name"},
		{"a prompt that is not UTF-8", form(t, fieldPart("prompt", "\xff")), nil, 400, `"prompt" is not valid UTF-8`},
		{"a prompt that is a file", form(t, filePart("prompt", "x", "", "hello")), nil, 400, `"prompt" is a file`},
		{"a file in another field", form(t, prompt, filePart("upload", "x", "", "hello")), nil, 400, `"upload" is a file`},
		{"a file without a name for it", form(t, prompt, part{`form-data; name="files"`, "", "hello"}), nil, 400, "has no filename"},
		{"an unfilled input", form(t, prompt, filePart("files", "", "application/octet-stream", "")), nil, 400, "file 1 is empty"},
		{"an empty file", form(t, prompt, filePart("files", "x.txt", "text/plain", "")), nil, 400, "file 1 (x.txt) is empty"},
		{"a form in the form", form(t, prompt, part{`form-data; name="files"`, "multipart/mixed; boundary=inner", "--inner--"}), nil, 400, "is a form itself"},
		{"a transfer encoding", strings.Replace(form(t, prompt), "Content-Disposition", "Content-Transfer-Encoding: base64\r\nContent-Disposition", 1), nil, 400, `transfer encoding "base64"`},
		{"a media type that is none", form(t, prompt, filePart("files", "x", "what is", "hello")), nil, 400, `"what is", which is none`},
		{"a media type that is not taken", form(t, prompt, filePart("files", "x", "video/mp4", "hello")), nil, 415, "file 1 (x) is video/mp4"},
		{"no image", form(t, prompt, filePart("images", "x", "text/plain", "hello")), nil, 415, "the field images takes images"},
		{"not the image that it says", form(t, prompt, filePart("images", "x", "image/gif", png)), nil, 415, "its content is image/png"},
		{"too large", form(t, prompt, filePart("files", "a", "", "x"), filePart("files", "/etc/big.txt", "", large)), nil, 413, "file 2 (big.txt) has more than 1000 bytes"},
		{"too many", form(t, prompt, filePart("files", "", "", "x"), filePart("images", "", "", png), filePart("files", "", "", "x")), nil, 413, "more than 2 files"},
		{"a large prompt", form(t, fieldPart("prompt", strings.Repeat("x", 4500))), nil, 413, "3000 are allowed"},
		{"a large body", form(t, fieldPart("prompt", strings.Repeat("x", 5500))), nil, 413, "5000 are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := problem(t, x.form(c.body, append(c.header, "X", "")...), c.status, map[int]fault.Kind{400: fault.BadRequest, 413: fault.TooLarge, 415: fault.Unsupported}[c.status])
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("it says %q, not %q", p.Detail, c.says)
			}
		})
	}
	problem(t, x.do("POST", multipartPath+"?agent=x", form(t, prompt), "Content-Type", formType), 400, fault.BadRequest)
	problem(t, x.form(form(t, prompt), "Origin", "https://elsewhere.example"), 403, fault.BadRequest)
	if turns := as[TurnList](t, x.do("GET", "/api/v1/turns", ""), 200); len(turns.Turns) != 0 {
		t.Errorf("a refused request made %d turns", len(turns.Turns))
	}
	as[ChatReply](t, x.form("what comes before is not read\r\n"+form(t, prompt, filePart("files", "x", "", large[:1000]))+"nor what comes after"), 200)
}

// endless is a body that never ends, and counts what was taken of it.
type endless struct {
	begin io.Reader
	taken int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if n, err = e.begin.Read(p); n == 0 {
		for n = range p {
			p[n] = 'x'
		}
		n, err = len(p), nil
	}
	e.taken += n
	return n, err
}

func TestABodyIsReadNoFurtherThanItMayBe(t *testing.T) {
	x := newSite(t, smallFiles)
	head := "--" + boundary + "\r\nContent-Disposition: form-data; name="
	for begin, c := range map[string]struct {
		path, says string
		most       int
	}{
		`{"prompt":"`:                               {chatPath, "3000 are allowed", 3001},
		`{"prompt":"a","files":[{"data":"`:          {chatPath, "files[0] has more than 1000 bytes", 4400},
		`{"prompt":"a","files":[{"name":"`:          {chatPath, "3000 are allowed", 3001},
		`{"prompt":"a","files":[{"data":"eA=="},"`:  {chatPath, "3000 are allowed", 4400},
		head + `"prompt"` + "\r\n\r\n":              {multipartPath, "3000 are allowed", 3001},
		head + `"files"; filename="f"` + "\r\n\r\n": {multipartPath, "file 1 (f) has more than 1000 bytes", 4001},
		head + `"prompt`:                            {multipartPath, "3000 are allowed", 3001},
		"":                                          {multipartPath, "3000 are allowed", 3001},
		"--" + boundary + "--\r\n":                  {multipartPath, "3000 are allowed", 3001},
	} {
		body := &endless{begin: strings.NewReader(begin)}
		r := httptest.NewRequest("POST", c.path, body)
		r.Header.Set("Content-Type", map[string]string{chatPath: jsonType, multipartPath: formType}[c.path])
		r.Header.Set("Expect", "100-continue") // who waits to be told to go on is not read to keep the connection
		w := httptest.NewRecorder()
		x.s.ServeHTTP(w, r)
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 413 || !strings.Contains(p.Detail, c.says) || body.taken > c.most {
			t.Errorf("%q: %d %s after %d bytes", begin, w.Code, w.Body, body.taken)
		}
	}
}

func TestTheOtherRoutesTakeNoLargerBodies(t *testing.T) {
	x := newSite(t, smallFiles)
	turn := as[Pending](t, x.chat(`{"prompt":"charge order A-1 12.50","agent":"paying"}`), 202).Turn
	p := problem(t, x.do("POST", "/api/v1/turns/"+turn+"/resolve", `{"outcome":"happened","note":"`+strings.Repeat("x", 3000)+`"}`), 413, fault.TooLarge)
	if !strings.Contains(p.Detail, "3000 are allowed") {
		t.Errorf("%q", p.Detail)
	}
	if i := x.settled(turn); i.State != session.Waiting {
		t.Errorf("%+v", i)
	}
}

func TestNamesOfFilesHaveNoPathAndNothingUnseen(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "/etc/passwd": "passwd", `C:\dir\a.txt`: "a.txt", "../../a": "a", "a/": "", "..": "", ".": "", "": "",
		"a\x00b\n.txt": "ab.txt", "a\u202etxt.exe": "atxt.exe", "\xff\xfea": "a", " Größe 1.pdf ": "Größe 1.pdf", ".profile": ".profile",
		strings.Repeat("ä", 200): strings.Repeat("ä", 127),
	} {
		if got := fileName(name); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

func TestLettersMayComeInPieces(t *testing.T) {
	for text, valid := range map[string]bool{
		"": true, "abc": true, "äöü€𝄞": true, "\xff": false, "a\xc3": false, "\xc3a": false, "\xe2\x82": false, "\xf0\x9d\x84\x9e\xe2": false, "\x80": false, "\xed\xa0\x80": false,
	} {
		for size := 1; size <= len(text)+1; size++ {
			c := &utf8Check{}
			ok := true
			for piece := range slices.Chunk([]byte(text), size) {
				ok = ok && c.add(piece, false)
			}
			if ok = ok && c.add(nil, true); ok != valid {
				t.Errorf("%q in pieces of %d: %v", text, size, ok)
			}
		}
	}
}
