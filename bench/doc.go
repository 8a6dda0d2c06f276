// Package bench measures what the stores cost. It holds nothing but tests and benchmarks.
//
// # Beside the raw write
//
// A time says little without the machine it was taken on, so BenchmarkAppend measures each store beside the plainest
// durable write of the same server, in the same run and by turns: an INSERT of the same bytes in a transaction of its own,
// an XADD, a PutItem. What is worth remembering is the ratio of the two. The raw write has no guard, no head and no
// agenda, and keeps no promise but that of the server.
//
//	go test -run '^$' -bench Append -benchtime 400x ./bench
//
// prints the table of docs/benchmarks.md. No test fails because something took long.
//
// # Per turn
//
// TestATurnCostsWhatIsDeclared counts what a turn and a tool round cost on a session that is in use: calls of the store,
// and what travels to its server, counted on the wire by a relay that knows the frames of the protocol (commands of Redis,
// statements of PostgreSQL, requests of DynamoDB). testdata/costs.json has what they may cost; more fails.
//
// # Fairness
//
// TestFiftyWritersIntoOneSessionStayFair has 50 clients start turns in one session through three kernels, more at a time
// than its queue takes, and counts how many turns of others were accepted between a client's first try and its acceptance.
package bench
