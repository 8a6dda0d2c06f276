// Package openai is the provider for OpenAI and for the many servers that speak its chat-completions format.
//
// It makes one attempt per call: the SDK's retries are off. The request is built and sent by the official SDK. The
// answer is read here, from the SDK's raw response, because the SDK's stream takes an end without a finish reason for
// success, and one broken chunk for the end.
//
// # What counts as an answer
//
// A stream counts if a finish reason was seen and no error followed it; the closing [DONE] may be missing, since many
// servers omit it, and so may anything else after the finish reason. A chunk that is not JSON is skipped, as long as
// the stream goes on to its finish reason. These are failures of kind truncated: an end without a finish reason, an
// answer without text and calls, a tool call without a name or whose arguments are not a JSON object. A content filter
// or a refusal is refused. An answer of a compatible server that counts far fewer tokens than the prompt must have is
// context_overflow: it cut the prompt silently. A server that ignores the wish for a stream and answers with one JSON
// body is understood.
//
// # Files, schemas
//
// Images are sent as data URLs, PDFs as file parts, texts as text; any other file is refused as unsupported before
// anything is sent. A schema is sent as a response format that is not strict, since strict takes only a part of JSON
// Schema; a server that ignores it is found out by whoever checks the answer.
//
// # Failures
//
// The tables in classify.go decide the kind: the provider's code first, then the status, with the text only to tell
// apart what one status is used for. A failure that carries a hint when to come back has it in Error.After. No error's
// text, nor that of its causes, contains the API key or the values of configured headers.
package openai
