package scripted

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agentkernel/agentkernel/model"
)

// Answer is what the script says to req: a pure function, equal requests get equal answers.
func (p *Player) Answer(req *model.Request) *model.Answer {
	s, earlier, due := situation(req)
	answer := &model.Answer{Model: req.Model, Finish: model.FinishStop}
	if answer.Model == "" {
		answer.Model = "scripted"
	}
	answer.Message = model.Message{Role: model.Assistant}
	text, calls, own := p.choose(req, s, earlier, due)
	if len(req.Schema) > 0 && len(calls) == 0 && !own && !isObject(text) {
		if object, ok := shaped(req.Schema, text); ok {
			text = object
		}
	}
	if strings.TrimSpace(text) == "" && len(calls) == 0 {
		text = "…" // an empty answer would be taken for a cut one
	}
	if text != "" {
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Text: text})
	}
	for i := range calls {
		answer.Message.Parts = append(answer.Message.Parts, model.Part{Call: &calls[i]})
		answer.Finish = model.FinishCalls
	}
	answer.Usage = model.Usage{Input: requestTokens(req), Output: max(1, messageTokens(answer.Message))}
	return answer
}

// situation reads from the conversation what a script can refer to, the earlier user messages (oldest first), and how
// often the assistant has spoken since the last one.
func situation(req *model.Request) (s *scope, earlier []string, due int) {
	s = &scope{}
	for _, m := range req.Messages {
		switch m.Role {
		case model.User:
			if s.turn > 0 {
				earlier = append(earlier, s.text)
			}
			s.turn++
			s.text, s.results, s.files, due = m.Text(), nil, fileNames(m), 0
			if s.turn == 1 {
				s.first = s.text
			}
		case model.Assistant:
			due++
		case model.ToolRole:
			for _, part := range m.Parts {
				if part.Result != nil {
					s.results = append(s.results, part.Result.Content)
				}
			}
		}
	}
	return s, earlier, due
}

// fileNames name the files of a message, those without a name by their type.
func fileNames(m model.Message) []string {
	var names []string
	for _, part := range m.Parts {
		switch f := part.File; {
		case f == nil:
		case f.Name != "":
			names = append(names, f.Name)
		default:
			names = append(names, f.MediaType)
		}
	}
	return names
}

// choose is what the script says; own means that somebody wrote these words for this message, so that they count even
// where they do not fit what was asked for.
func (p *Player) choose(req *model.Request, s *scope, earlier []string, due int) (text string, calls []model.Call, own bool) {
	for i := range p.rules {
		r := &p.rules[i]
		if s.match = r.when.FindStringSubmatch(s.text); s.match == nil || r.files && len(s.files) == 0 {
			continue
		}
		if r.recall != nil {
			if s.recalled = latest(r.recall, earlier); s.recalled == nil {
				if !r.hasElse {
					continue
				}
				return r.elseSay.expand(s), nil, !p.builtin
			}
		}
		text, calls = r.stage(due).play(req, s)
		return text, calls, !p.builtin
	}
	text, calls = p.otherwise.play(req, s)
	return text, calls, p.hasOtherwise && !p.builtin
}

func latest(re *regexp.Regexp, texts []string) []string {
	for i := len(texts) - 1; i >= 0; i-- {
		if m := re.FindStringSubmatch(texts[i]); m != nil {
			return m
		}
	}
	return nil
}

func (r *rule) stage(due int) *stage {
	if r.repeat {
		return &r.stages[due%len(r.stages)]
	}
	return &r.stages[min(due, len(r.stages)-1)]
}

func (st *stage) play(req *model.Request, s *scope) (string, []model.Call) {
	text := st.say.expand(s)
	if req.NoCalls && len(st.calls) > 0 {
		return strings.TrimSpace(text + fmt.Sprintf(" I would call the tool %s now, but I shall answer in words.", st.calls[0].tool)), nil
	}
	var calls []model.Call
	for i, c := range st.calls {
		tool := findTool(req.Tools, c.tool)
		if tool == nil {
			return strings.TrimSpace(text + fmt.Sprintf(" I would call the tool %s now, but I do not have it.", c.tool)), nil
		}
		args, _ := expandArgs(c.args, s).(map[string]any)
		calls = append(calls, model.Call{
			// Numbered by place, so that an id is unique in its conversation and the same on a re-run.
			ID:   fmt.Sprintf("call_%d_%d", len(req.Messages), i+1),
			Name: c.tool,
			Args: encodeArgs(args, tool.Parameters),
		})
	}
	return text, calls
}

func findTool(tools []model.Tool, name string) *model.Tool {
	for i := range tools {
		if tools[i].Name == name {
			return &tools[i]
		}
	}
	return nil
}

// encodeArgs writes args as JSON, with the strings that the tool's schema declares as numbers or booleans sent as such.
func encodeArgs(args map[string]any, parameters json.RawMessage) json.RawMessage {
	if len(args) == 0 {
		return json.RawMessage(`{}`)
	}
	var schema struct {
		Properties map[string]struct {
			Type any `json:"type"`
		} `json:"properties"`
	}
	if json.Unmarshal(parameters, &schema) == nil {
		for name, value := range args {
			if text, ok := value.(string); ok && convertible(schema.Properties[name].Type, text) {
				args[name] = json.RawMessage(text)
			}
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(args) != nil { // NewPlayer has encoded these args once, and strings always encode
		return json.RawMessage(`{}`)
	}
	return bytes.TrimSpace(b.Bytes())
}

// convertible reports that text is the JSON form of a value of the declared type.
func convertible(declared any, text string) bool {
	if text != strings.TrimSpace(text) || !json.Valid([]byte(text)) {
		return false
	}
	switch declared {
	case "boolean":
		return text == "true" || text == "false"
	case "integer":
		return strings.Trim(text, "-0123456789") == ""
	case "number":
		return text[0] == '-' || text[0] >= '0' && text[0] <= '9'
	}
	return false
}

// Pieces cuts an answer's text as it is streamed: a word with the space after it, or at most 24 letters of a longer run
// (some scripts write no spaces). Joined they are the text.
func Pieces(text string) []string {
	const longest = 24
	var pieces []string
	start, letters, spaces := 0, 0, false
	for i, r := range text {
		space := unicode.IsSpace(r)
		if i > start && (spaces && !space || !spaces && letters >= longest) {
			pieces = append(pieces, text[start:i])
			start, letters, spaces = i, 0, false
		}
		letters++
		spaces = space
	}
	if start < len(text) {
		pieces = append(pieces, text[start:])
	}
	return pieces
}

// requestTokens counts a request's words; a stand-in for tokens that is the same everywhere.
func requestTokens(req *model.Request) int64 {
	n := words(req.Instructions)
	for _, t := range req.Tools {
		n += words(t.Name) + words(t.Description)
	}
	for _, m := range req.Messages {
		n += messageTokens(m)
	}
	return n
}

func messageTokens(m model.Message) int64 {
	var n int64
	for _, p := range m.Parts {
		n += words(p.Text)
		if p.Call != nil {
			n += words(p.Call.Name) + words(string(p.Call.Args))
		}
		if p.Result != nil {
			n += words(p.Result.Content)
		}
	}
	return n
}

// words counts runs of letters and digits.
func words(text string) int64 {
	var n int64
	inside := false
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		word := unicode.IsLetter(r) || unicode.IsDigit(r)
		if word && !inside {
			n++
		}
		inside = word
	}
	return n
}
