// Package mcptool makes tools of what servers of the Model Context Protocol offer: programs that are started here and
// spoken to over their standard input and output, and servers that are spoken to over HTTP.
//
// # What a server may decide
//
// A server says which tools it has, what they are for and which arguments they take. It does not decide what may be
// repeated: the hints readOnlyHint and idempotentHint are shown ([Client.Offers]) and never acted upon. A tool whose
// [Policy] says nothing is at-most-once, like every other tool.
//
// The list of tools is read once, at the start, because agents are told of their tools at the start. A server that
// comes back without one of them makes calls of it an error that the model is shown; a tool that it has in addition is
// not offered until the next start.
//
// # What became of a call
//
// A call is one tools/call request, sent once. The library's own repetition of requests that ask for more input is
// switched off, and HTTP redirects are not followed.
//
//   - A result is the result; one that the server marks as an error is an error that the model is shown.
//   - Arguments that do not fit, a server that cannot be reached, a tool that is gone: nothing was sent, so nothing
//     happened, and the model is told so.
//   - The server says that it does not know the method or the tool, or that the request is not valid, or answers with an
//     HTTP status of 4xx: it refused, so nothing happened.
//   - Everything else, once the first byte was written, leaves it open: a server that died, was silent, wrote what is no
//     JSON-RPC, or reported an internal error. The error is marked with [agentkernel.Unclear].
//
// Idempotency key and epoch of the call are in the request's _meta, as "agentkernel/idempotency_key" and
// "agentkernel/epoch", for servers that can make use of them.
//
// # A server's life
//
// [Connect] fails when the server cannot be started or reached: that is a mistake in the configuration, found at the
// start. A server that is lost later is started, or connected to, again by the next call. One that keeps dying is left
// alone for a while, which doubles up to half a minute; calls in that time are not sent. An HTTP server that has
// forgotten the session refused the call, so it is given the call again, once, in a new session.
//
// A program runs in a process group of its own. It is killed with whatever it started when the client is closed, and by
// the system (Linux) when this process dies. It gets the environment that its [Spec] names and, of this process's own,
// only what programs need to run at all: other secrets of this process are not for it. What it writes to its standard
// error goes to the log, a bounded number of lines of bounded length.
package mcptool
