// Package chaos holds tests that do to real processes what production does: SIGKILL at the worst moment, SIGSTOP past a
// lease, SIGTERM under load, a store that freezes or dies. They start the ak binary over a store, a model server and a tool
// server on loopback, some of them behind HAProxy, and afterwards compare what the client was told, what the journal holds
// and what the tool did.
//
// The binary is built with the failpoint tag, so that a process can be told where to die; see internal/failpoint. The store
// is a SQLite file, or a real server from internal/servers; [openStore] has all of them, and every place in a test has a
// part of its own in one.
package chaos
