// Package bedrock is the provider for the models of Amazon Bedrock, over its ConverseStream operation.
//
// It makes one attempt per call: the SDK's retries are off. The SDK builds, signs and sends the request. The answer is
// read here, frame by frame, from the raw response, because the SDK's stream takes an end without its terminal event
// for success, and one broken event for the end.
//
// # What is sent
//
// Bedrock wants the turns of user and assistant to alternate, so neighbours of the same side become one message, and all
// results of one answer's calls are in one user message, before what the user says next. Blank texts, which it refuses,
// are left out. Calls get ids of our own where the conversation's repeat, are missing, or have characters or a length
// that it refuses. A conversation with calls needs tools: if none are offered, those that were called are named with an
// empty schema. It has no way to forbid calls, so Request.NoCalls is ignored. A schema for the answer is sent only if
// Config.Schemas says so, since many of its models refuse one. Images, PDFs, office documents and texts are sent inline;
// a file of another type fails as unsupported before anything is sent.
//
// # What counts as an answer
//
// A stream counts if its messageStop event was seen and no exception followed it; the metadata with the usage may be
// missing. An event that is not JSON is skipped, as long as the stream goes on. These are failures of kind truncated: an
// end without messageStop, a broken frame before it, an answer without text and calls, a tool call without a name or
// whose arguments are not a JSON object. A guardrail or a content filter makes it refused. Reasoning is neither shown
// nor kept; Bedrock counts its tokens as output.
//
// # Failures
//
// The tables in classify.go decide the kind: the exception's name first, then the HTTP status, with the text only to
// tell apart what one name is used for. The two exceptions that pass on what a model said are judged by the status that
// they carry. Credentials that cannot be had are a failure of kind auth. The hint in Error.After is the header
// x-amz-retry-after or Retry-After. No error's text, nor that of its causes, contains a key, a token or a signature.
package bedrock
