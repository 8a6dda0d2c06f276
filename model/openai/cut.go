package openai

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/agentkernel/agentkernel/fault"
	"github.com/agentkernel/agentkernel/model"
)

// minWindow is a count of tokens that no server cuts a prompt down to. A smaller one comes from a server that counts
// only what it did not have in its cache.
const minWindow = 64

// unspaced are scripts that write without spaces between words.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai}

// checkPrompt finds out whether the server cut the prompt, by comparing the tokens it says it read with what was sent.
// Such an answer looks like any other, but is one to another question.
//
// It speaks up only when there is no other explanation. Tokenizers differ, but none makes fewer tokens than half the
// words. A few servers leave out the tokens that they had cached, and those may be all that was sent before: so a small
// count says nothing if it could be that of the end of the conversation, from the model's last message on. The
// instructions are not compared, since they may be cached by themselves, and a server that cuts keeps them. A prompt
// that lost less than about half is therefore not noticed.
func checkPrompt(req *model.Request, u model.Usage) error {
	last := 0 // the model's last message: what comes after it cannot be cached, except in an attempt that is repeated
	for i, m := range req.Messages {
		if m.Role == model.Assistant {
			last = i
		}
	}
	words, newWords, newBytes := 0, 0, 0
	for i, m := range req.Messages {
		w, b := measure(m)
		words += w
		if i >= last {
			newBytes += b
		}
		if i > last || m.Role != model.Assistant && i == last {
			newWords += w
		}
	}
	read := u.Input
	switch {
	case read < minWindow || read >= int64(words/2):
		return nil
	case read >= int64(newWords/2) && read <= int64(newBytes)+minWindow: // a token is a byte at least
		return nil
	}
	return &problem{kind: fault.ContextOverflow, msg: fmt.Sprintf(
		"the server read %d tokens of a conversation of %d words: it cut the prompt without saying so", read, words)}
}

// measure counts the words and the bytes of what m says in text.
func measure(m model.Message) (words, bytes int) {
	count := func(s string) {
		bytes += len(s)
		dense := 0
		for _, r := range s {
			if unicode.In(r, unspaced...) {
				dense++
			}
		}
		words += len(strings.Fields(s)) + dense/4
	}
	for _, p := range m.Parts {
		count(p.Text)
		if p.Result != nil {
			count(p.Result.Content)
		}
		if p.Call != nil {
			bytes += len(p.Call.Name) + len(p.Call.Args)
		}
	}
	return words, bytes
}
