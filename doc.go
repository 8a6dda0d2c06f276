// Package agentkernel hosts agents so that they stay available and correct through crashes: no accepted turn is lost,
// and nothing is done twice.
//
// # A turn's way
//
// [Kernel.Start] appends turn.accepted to the session's journal and, when the session is idle, a claim in the same
// record. The replica that claimed is the owner: its tenure runs the session's turns one after the other, by calling the
// agent's [Runner]. Everything the runner does to the world is a step whose result is appended; the end of the turn is
// appended last. Readers at any replica follow the journal.
//
// # When something fails
//
//   - The process dies. Its replica's counter in the store stands still; after a lease TTL another replica (or the next
//     start) claims the session under a higher epoch and calls the runner again. Steps that are in the journal are
//     answered from it. A call that was on its way is run again if its effect class allows it; an at-most-once call is in
//     doubt, and is settled as doubt.go says.
//   - The process stalls and wakes up. Before it dispatches an at-most-once call it checks its lease; whatever it appends
//     meets the new owner's claim, so it stops and writes nothing. A call that it dispatches after the check stands in
//     the journal as started, so the new owner does not dispatch it.
//   - An append's answer is lost. The writer reads the journal until it knows: see journal.decide.
//   - The store is down. New work is refused before it is sent; finished work is held until it can be written; health
//     says degraded.
//   - The replica is told to leave: see [Kernel.Drain].
//
// Safety depends on no clock: lease and sweep only decide when to try a claim, and the journal decides who wins.
package agentkernel
