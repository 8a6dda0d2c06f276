// Package memory is a store that keeps everything in the process and nothing beyond it. It serves tests, simulations,
// examples and the first minutes with the kernel; its answers are exact, so what works on it fails elsewhere only for
// reasons that the other store declares.
//
// # How it keeps the contract
//
// One mutex guards one map of sessions. Every method takes the mutex once, so each call is one moment: the guard of
// [Store.Append] and what it writes cannot be torn apart, [Store.Read] returns head and records of the same instant,
// and nothing is ever half done. Bytes are copied on the way in and on the way out.
//
// Two kernels may share one *Store; that is the way to test two replicas in one process.
//
// # Failure cases
//
//   - The process ends: everything is gone. [Store.Durability] says so, and the kernel refuses at-most-once tools on it
//     unless it is told to accept the loss.
//   - A context that has ended before the call: nothing was written, and the error wraps session.ErrNotSent. Calls do
//     not block, so a context cannot end in the middle of one; there is no ambiguous answer.
//   - Close: every later call fails as unavailable.
//
// # Time
//
// The store reads time.Now and starts no goroutine, so it can be used in a testing/synctest bubble, where it follows
// the bubble's clock. Hints and tombstones whose time has passed are dropped when a replica beats.
package memory
