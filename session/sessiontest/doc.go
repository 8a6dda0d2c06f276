// Package sessiontest holds every store to the contract in session/store.go, and helps to test what is built on stores.
//
// # The suite
//
// [Run] opens fresh stores through a [Harness] and checks each promise of the contract in a subtest of its own. It
// reports every violation, not the first one, and it fails when it has checked nothing. A store that passes may be put
// under the kernel; a store that only nearly passes will lose a turn one day, in the way the failed subtest names.
//
// What a suite in one process cannot show is left to the stores' own tests: that an acknowledged write survives a
// killed process, that it was synced before it was acknowledged, and that an erase leaves no bytes behind.
//
// The suite checks itself: its tests break a correct store in many small ways, and each broken copy must be caught.
//
// # Histories
//
// A history is what several clients, each with a handle of its own, did to a few sessions at once: they append, claim
// (append with a higher epoch and another owner), read and read heads, with guards from what they last saw, and now and
// then with a guard that is known to be old or made up. Each call is kept with when it began and ended and what it
// answered, and porcupine looks for an order of the calls, within those times, that explains every answer. If there is
// none, the store is not linearizable. What an answer means:
//
//   - A write without an error took effect within its call, once.
//   - A conflict: at some moment within the call the head was not where the writer thought, and nothing was written.
//   - An error that wraps session.ErrNotSent: nothing was written, ever. The call is left out, so its record in a later
//     read has no explanation.
//   - Any other error of a write, a time-out too: it took effect once at any time after it began, even after the run, or
//     never. The client then sends the same record again, or reads, as a kernel does.
//   - A read that failed says nothing. The heads that came with an error count.
//
// At the end, when nothing hurts the store any more, every session is read once more through a fresh handle. A record
// that is not in it had no effect up to then, for nothing takes records away; this is what keeps the search short,
// however many outcomes are unknown.
//
// [RecordHistory] makes such a history while a [Nemesis] hurts the store; [Histories] fails the test with what was wrong.
// One subtest of the suite does it without one, through two handles, and with erases.
//
// # Faults
//
// [Faulty] wraps a store and does what networks and disks do to callers: it refuses, it performs a write and loses the
// answer, it performs a write long after its caller gave up, it blocks. It also counts calls, for tests of cost.
package sessiontest
