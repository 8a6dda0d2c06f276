// Package anthropic is the provider for Anthropic's messages API.
//
// It makes one attempt per call: the SDK's retries are off. The request is built and sent by the official SDK. The
// answer is read here, from the raw response, because the SDK's stream takes an end without message_stop for success.
//
// # What counts as an answer
//
// A stream counts if message_stop was seen, after a stop reason, with every block closed. These are failures of kind
// truncated: an end before that, an event that is not JSON, an answer without text and calls, a tool call whose
// arguments are not a JSON object. A refusal is refused, and an answer that met the end of the model's window is a
// context overflow. Blocks and events that this package does not know, such as thinking and ping, are passed over.
//
// # Requests
//
// The API wants a bound on every answer: Config.MaxTokens stands in where the request has none. Results of parallel
// tools go into one user message, with what the user says next, and texts without a letter are left out, for the API
// refuses them. Images, PDFs and texts are sent; any other file is refused as unsupported before anything is sent.
//
// A schema is sent as the output format, reduced to the part of JSON Schema that the API takes: bounds on numbers and
// lengths are left out and objects are closed, which whoever checks the answer makes up for. A schema that cannot be
// reduced, because it has references or open maps, is told to the model in words.
//
// # Usage
//
// Usage.Input is everything that was read: the API's input tokens and those that were read from or written to its
// cache. Usage.Cached is what was read from the cache.
//
// # Failures
//
// The table in classify.go decides the kind: the provider's code first, then the status, with the text only to tell
// apart what one status is used for. A failure that carries a hint when to come back has it in Error.After. No error's
// text, nor that of its causes, contains the API key or the values of configured headers.
package anthropic
