// Package kerneltest proves that your agent survives a crash: at every place where a process can die, it stops one there,
// lets a second one finish, and compares what came out with a run that nothing disturbed.
//
// # What is done
//
// [Survive] runs the conversation of an [Agent] twice without a crash, over a memory store, and notes every place that
// the kernel passes: before and after each write to the store, each model call, each tool call, each step of a runner and
// each reconcile. The two runs must agree; else a difference would say nothing about crashes. Then, for each place and
// each time it was passed, it runs the conversation again:
//
//   - crash: the first replica stops there for ever. From then on its store handle refuses everything and its tools and
//     models do nothing, as those of a dead process. A second replica takes over, and the client, who heard nothing,
//     sends its requests again with the same idempotency keys.
//   - lost: the store committed a write and its answer was lost. The first replica lives on and has to find out.
//
// Compared are the state and the reply of every turn, the conversation of every session, and what [Agent].Effects reads
// from the outside world. In addition no at-most-once tool may have been dispatched twice with one idempotency key, and
// nobody may have found that a call did not happen that had returned its result, or that one happened that was never
// made.
//
// # What it finds
//
// A tool that is declared idempotent or read-only and acts again when it is called again. A runner that does things
// beside its steps, or decides by something that is another thing the next time. Reconcile hooks that tell the wrong
// story. State in memory that a second process does not have: New is called for every replica, so what must not survive a
// process has to be made there, and what stands for the outside world (a ledger, a mailbox) has to be kept outside, and
// emptied by Reset.
//
// # What may differ
//
// A call that nobody can tell about is a difference that the kernel is honest about. Where a tool's policy is to ask,
// Decide answers as a person would. Where it is to tell the model or to fail, or where a reconcile hook found that a call
// did not happen and the model was told so, the turn may end in another way: such a run has to come to an end and to pass
// Check, and is compared no further. Survive logs how many those were.
//
// # Time
//
// With a *testing.T every run is in a bubble of testing/synctest: time-outs, leases and pauses cost no time. Inside a
// bubble nothing may wait for the network, because time stands still while someone does: give your agent the model in
// package scripted and tools that act in memory. With [Agent].Real everything takes its time, about a third of a second for
// each crash. A run that does not end within two hours of its time, or a real minute, is an error. An agent that sleeps
// should sleep for minutes in its test: an hour in a bubble costs a second or two.
package kerneltest
