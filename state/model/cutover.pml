/*
 * The cutover over all nodes, as a model of which spin looks at every state: `make model`. It has the steps of the code under the
 * code's names, and where the code lacks a guard it has the guard: it is what the code must become.
 *
 *	worker   Acquire ─► BeginCutover ─► Name ─► (Look, Bury, Replaced) ─► Pass ─► Commit ─► Confirm ─► Switch
 *	             └─ whoever takes over: CallOff, or Confirm ─► Switch            └─ CallOff     └─ InDoubt
 *	node     Join ─► Beat ─► Beaten;  Inbox ─► Acknowledged ─► ReadSwitched or ReadOver, or Bye;  Doubt, Fenced ─► Join ─► Regain
 *	session  Login ─► Attach ─► Send ─► Take ─► Answer ─► Deliver ─► Send …
 *	faults   Expire, Deadline, failovers, an outage; crashes and leases that end are steps of who suffers them
 *
 *	state.pml  what each knows    store.pml  masters and what they lose    faults.pml    what the world does
 *	worker.pml, node.pml, session.pml  the steps    ends.pml  that a cutover ends    journal.pml  a model of its own: I7
 *
 * One user, NODES nodes with a session each whose client writes without end, WORKERS workers. Everything that could go on
 * for ever is counted: ATTEMPTS, INCARNATIONS of a node, BEATS of a node, CRASHES, STEALS (leases that end although their
 * worker lives), one failover of each log. Within such bounds the search is exhaustive, without bit state or
 * compression; .ci/model lists the bounds that are looked at. What one run leaves out another has; their product has not
 * been looked at.
 *
 * No clock runs. A process takes its next step at any time after the last, so each may be stopped at any point for any time, and
 * notices only afterwards. What a guard says of time is one bit: a lease has ended, a deadline has passed.
 *
 * Properties, with the assertion's place:
 *	I3  what the source took after the last pass of the attempt that is switched, or after the target took a write, is
 *	    never acknowledged to a client (Deliver, Switch). That is what makes a write lost, or two stores take writes. A reply
 *	    to an older write may reach its client even after the switch: nobody can look at the lease and send in one step.
 *	I5  no commit past the deadline (Commit). A cutover ends: migrated, or called off and the source serves, or in doubt and
 *	    nobody is served by guess; nobody is held for ever (ends.pml, with ENDS).
 *	I6  only the holder of the newest epoch writes (WRITES).
 *
 * Guards can be taken out, each by a name such as NO_CONFIRM; then spin must find a violation. `.ci/model trace cutover
 * -DNO_CONFIRM -DNODES=1 -DUSER_FAILOVER` prints the shortest one.
 *
 * TTL_RULE is not a guard but a try: to commit only when TTL has gone by since a failover does not make up for reads that are
 * not confirmed.
 *
 * Not in it: what a pass copies and proves, a source that is itself replicated, two processes that run under one node's
 * name (Join refuses the second), and what a worker that was taken over still does to the target: nothing ends its sessions
 * there but itself, and what it has sent by then has guards of its own (migrate/takeover.go).
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef INCARNATIONS
#define INCARNATIONS 1
#endif
#ifndef BEATS
#define BEATS 0
#endif
#ifndef STEALS
#define STEALS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif

#include "state.pml"
#include "store.pml"
#include "node.pml"
#include "worker.pml"
#include "session.pml"
#include "faults.pml"
#ifdef ENDS
#include "ends.pml"
#endif

init {
	d_step {
		for (i : 0 .. NODES - 1) {
			node[i].incs = 1;
			node[i].inc = 1;
			node[i].alive = 1;
#ifdef ENDS
			node[i].seat = SOURCE;
#endif
			lives[0].life[i].incarnation = 1
		}
		user[0].phase = TAILING;
		user[0].owner = 1;
		user[0].current = 1;
		worker[0].st = LEASED
	}
	atomic {
		for (i : 0 .. NODES - 1) {
			run serve(i);
#ifndef ENDS
			run session(i)
#endif
		}
		for (i : 0 .. WORKERS - 1) { run work(i) }
#ifdef ENDS
		run watch();
#endif
		run faults()
	}
}
