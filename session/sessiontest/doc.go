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
// One subtest lets several clients append, read and erase through two handles at once, records when each call began and
// ended and what it answered, and has porcupine look for an order of the calls that explains all answers. If there is
// none, the store is not linearizable.
//
// # Faults
//
// [Faulty] wraps a store and does what networks and disks do to callers: it refuses, it performs a write and loses the
// answer, it performs a write long after its caller gave up, it blocks. It also counts calls, for tests of cost.
package sessiontest
