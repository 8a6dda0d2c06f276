// Package scripted is a model that answers from a script, offline and for free.
//
// It serves three readers: someone who wants to see an agent run before having a provider's key, a test that needs the
// same answer every time, and the fake provider server in modeltest, which speaks the same scripts over the wire.
//
// # The script
//
// A [Script] is a list of rules. The first rule whose regular expression matches the text of the last user message
// answers. A rule is a list of stages: the first one is written in the rule itself, the others follow under "then".
// Which stage is due is the number of assistant messages after the last user message, so the script keeps no memory
// of its own: what it answers is a function of the request and of nothing else. A kernel that repeats a request after
// a crash gets the same answer, to the byte.
//
//	{"rules": [{
//	  "when":  "(?i)charge order (\\S+) ([0-9.]+)",
//	  "calls": [{"tool": "charge_card", "args": {"order": "${1}", "amount": "${2}"}}],
//	  "then":  [{"say": "Order ${1}: ${result}"}]
//	}]}
//
// Texts and the strings in args may refer to:
//
//	${text}             the last user message
//	${0} ${1} ${name}   what "when" matched: all of it, a numbered group, a named group
//	${result}           all tool results of this turn, one per line
//	${result.2}         the second one of them, counted from 1
//	${first}            the first user message of the conversation
//	${files}            the names of the files in the last user message
//	${files.1}          the first one of them
//	${turn}             how many user messages there are
//	${recall} ${recall.1}  what "recall" matched in the latest earlier user message that it matches
//
// A dollar sign that no brace follows stands for itself, and $${ is a plain ${. A rule with "recall" applies only if an
// earlier user message matches, unless it says in "else" what to answer when none does. Where a tool's schema declares
// a number, integer or boolean for a property, an argument that reads as one is sent as one.
//
// A rule with "files": true applies only to a message that has some.
//
// A tool that the request does not offer is not called, nor any if it asks for an answer in words; the answer says so
// in text. Where an answer shall fit a schema, the words of a rule or of "otherwise" count as they are, so that a test
// can say what does not fit; where the script says neither, and in the built-in script, the answer is a small JSON
// object that fits, with the words in its strings.
//
// # Faults
//
// [Faults] are for tests: they make chosen calls fail, wait or hang. They count calls, so they are the one part that
// remembers something, and they are kept apart from the script for that reason.
package scripted
