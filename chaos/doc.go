// Package chaos holds tests that do to real processes what production does: SIGKILL at the worst moment, SIGSTOP past a
// lease, SIGTERM under load. They start the ak binary over a SQLite file, a model server and a tool server on loopback,
// and afterwards compare what the client was told, what the journal holds and what the tool did.
//
// The binary is built with the failpoint tag, so that a process can be told where to die; see internal/failpoint.
package chaos
