/*
 * What the journals are for (I7): the store has lost switches that were confirmed, because it was emptied, restored from an
 * older snapshot, or failed over to a replica that lacked them. cutover.pml is about how a switch comes about; here it is one
 * step, and a second user is switched as well, so that the sequence may come to where it was.
 *
 *	Switch ─► Look ─► Learn: fsync of the journal ─► the session moves, the target takes writes
 *	Lose   ─► every node: Ready (its journal repairs the records) ─► Post (it holds) ─► Resume; users that no journal knows
 *	          are served, workers work
 *
 * The code has the steps under these names: state/journals.go, proxy/heal.go, state/redisstate/script_trust.go. Its Look and Learn
 * are look and settle in proxy/journal.go.
 *
 * A journalled switch beats the record, at once and for ever. But a node whose own journal does not know the user sees
 * nothing amiss in a record that has become older, neither by the store's id, which a snapshot restores, nor by the
 * sequence, which is not behind its own or has grown again (mutant BY_SEQUENCE). So what is posted belongs to one run of the
 * store (Redis: master_replid, new with every start and every promotion), and until all nodes have posted to it nobody trusts
 * any record, not even one that leads to the target: sessions may be on the source that took it for lost (mutant NO_HOLD). They
 * are held from Post on, so that they need not be while a node is away. An operator may Forget a node that is.
 *
 * Two nodes with a session of the user X each, one worker, LOSSES losses, nodes that crash and keep their journals.
 * Not in it: a node that loses its disk together with a loss of the store, and one that is new to the fleet when the store loses
 * that it came.
 *
 * Properties: no write of X is acknowledged by the source once the target has acknowledged one, unless an operator has
 * decided so; and even then no worker overwrites the target, which is the worker's own comparison (COMPARE).
 */

#ifndef LOSSES
#define LOSSES 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif

#define X 1 /* users as bits */
#define Y 2

/* Node.seat, of X's session */
#define NOBODY 0
#define SOURCE 1
#define HELD   2
#define TARGET 3

typedef Node {
	byte seat;
	bit down;
	bit enrolled;  /* has posted since it was started */
	bit seen;      /* has read that X is migrated, and not yet acted on it */
	byte moving;   /* has moved, and not yet written it down: MOVE_BEFORE_JOURNAL */
	byte journal;  /* users known to be migrated, on disk */
	byte sequence  /* of the newest switch that it knows, on disk */
}

Node node[2];
hidden byte i;

byte migrated, sequence; /* the store */
byte kept, keptSequence; /* a snapshot of it */
bit emptied;             /* the store's id is another one than before */
bit ready[2], posted[2]; /* in the present run of the store */
bit gone[2];             /* not on the roster any more */
bit accepted;            /* the present run: its records count */

byte losses = LOSSES, crashes = CRASHES;
bit took;                /* the target has acknowledged a write of X */
bit decided;             /* an operator has forgotten a node whose journal knew more */

#define N node[n]

#ifdef BY_SEQUENCE
#define trusts(n) (!emptied && sequence >= node[n].sequence)
#define mayWork (trusts(0) || trusts(1))
#else
#define trusts(n) (accepted && node[n].enrolled)
#define mayWork accepted
#endif

#define allReady ((ready[0] || gone[0]) && (ready[1] || gone[1]))
#define allPosted ((posted[0] || gone[0]) && (posted[1] || gone[1]))

inline serveTarget() {
	N.seat = TARGET;
	took = 1
}

inline Login() {
	d_step {
		!N.down && N.seat == NOBODY && ((N.journal & X) || trusts(n)) ->
		if
		:: N.journal & X -> serveTarget()
		:: !(N.journal & X) && (migrated & X) -> N.seat = HELD
		:: else -> N.seat = SOURCE
		fi
	}
}

/* The source acknowledges a write. */
inline Write() {
	d_step { N.seat == SOURCE -> assert(!took || decided) }
}

inline Look() {
	d_step { !N.down && N.seat == HELD && (migrated & X) && trusts(n) && !N.seen -> N.seen = 1 }
}

/* Learn: the switch that was read is journalled, then acted on. */
inline Learn() {
	d_step {
		!N.down && N.seat == HELD && N.seen ->
		N.seen = 0;
#ifdef MOVE_BEFORE_JOURNAL
		N.moving = sequence;
#elif !defined(NO_JOURNAL)
		N.journal = N.journal | X;
		N.sequence = (sequence > N.sequence -> sequence : N.sequence);
#endif
		serveTarget()
	}
}

inline WriteDown() {
	d_step {
		!N.down && N.moving ->
		N.journal = N.journal | X;
		N.sequence = N.moving;
		N.moving = 0
	}
}

/* A node catches up with the switches of users whom it does not serve. */
inline CatchUp() {
	d_step {
		!N.down && trusts(n) && (migrated & Y) && !(N.journal & Y) ->
		N.journal = N.journal | Y;
		N.sequence = (sequence > N.sequence -> sequence : N.sequence)
	}
}

/* A held session goes on at the source if the record says so. */
inline Resume() {
	d_step {
		!N.down && N.seat == HELD && !(migrated & X) && trusts(n) ->
		if
		:: N.journal & X -> serveTarget()
		:: else -> N.seat = SOURCE
		fi
	}
}

inline repair() {
#ifndef NO_REPAIR
	migrated = migrated | N.journal;
	sequence = (N.sequence > sequence -> N.sequence : sequence);
#else
	skip
#endif
}

/* What was read before the journal is read to repair, and is not in it, is not acted on any more. */
inline Ready() {
	d_step {
		!N.down && N.enrolled && !ready[n] ->
#ifndef NO_TURN
		N.seen = 0;
#endif
		repair();
		ready[n] = 1
	}
}

inline accept() {
	if
	:: allPosted -> accepted = 1
	:: else
	fi
}

inline Post() {
	d_step {
		!N.down && N.enrolled && allReady && !posted[n] ->
#ifndef NO_HOLD
		if
		:: N.seat == SOURCE -> N.seat = HELD
		:: else
		fi;
#endif
		posted[n] = 1;
		accept()
	}
}

/* A node that starts has no sessions to hold. */
inline Enroll() {
	d_step {
		!N.down && !N.enrolled ->
		repair();
		ready[n] = 1;
		posted[n] = 1;
		gone[n] = 0;
		accept();
		N.enrolled = 1
	}
}

inline Crash() {
	d_step {
		!N.down && crashes > 0 ->
		crashes--;
		N.down = 1;
		N.enrolled = 0;
		N.seen = 0;
		N.moving = 0;
		N.seat = NOBODY
	}
}

proctype serve(byte n) {
end:
	do
	:: Login()
	:: Write()
	:: Look()
	:: Learn()
	:: WriteDown()
	:: CatchUp()
	:: Resume()
#ifndef BY_SEQUENCE
	:: Ready()
	:: Post()
	:: Enroll()
#endif
	:: Crash()
	:: d_step { N.down -> N.down = 0 }
	od
}

/* X's own cutover would not come to pass on a target that differs. */
#define SWITCHABLE(u) (u != X || !took)

/* The whole cutover: every node that serves X holds, then the record is written. */
inline Switch(u) {
	d_step {
		mayWork && !(migrated & u) && SWITCHABLE(u) && sequence < 4 ->
		sequence++;
		migrated = migrated | u;
		if
		:: u == X && node[0].seat == SOURCE -> node[0].seat = HELD
		:: else
		fi;
		if
		:: u == X && node[1].seat == SOURCE -> node[1].seat = HELD
		:: else
		fi
	}
}

/* The worker's writes to X's target. It compares it first with what its last pass has left there. */
inline Copy() {
	d_step {
#ifdef NO_COMPARE
		mayWork && !(migrated & X) ->
#else
		mayWork && !(migrated & X) && !took ->
#endif
		assert(!took)
	}
}

proctype work() {
end:
	do
	:: Copy()
	:: Switch(X)
	:: Switch(Y)
	od
}

inline lose() {
	losses--;
#ifndef NO_RUN
	ready[0] = 0;
	ready[1] = 0;
#endif
	posted[0] = 0;
	posted[1] = 0;
	gone[0] = 0;
	gone[1] = 0;
	accepted = 0
}

/* An operator says that a node is gone for good. It may come back all the same. */
inline Forget(m) {
	d_step {
		node[m].down && !posted[m] && !gone[m] ->
		if
		:: node[m].journal & ~migrated -> decided = 1
		:: else
		fi;
		gone[m] = 1;
		accept()
	}
}

proctype faults() {
end:
	do
	:: d_step { keptSequence != sequence || kept != migrated -> kept = migrated; keptSequence = sequence }
	:: d_step { losses > 0 -> migrated = kept; sequence = keptSequence; lose() }
	:: d_step { losses > 0 -> migrated = 0; sequence = 0; emptied = 1; lose() }
#ifdef FORGET
	:: Forget(0)
	:: Forget(1)
#endif
	od
}

init {
	d_step {
		for (i : 0 .. 1) {
			ready[i] = 1;
			posted[i] = 1;
			node[i].enrolled = 1
		}
		accepted = 1
	}
	atomic {
		run serve(0);
		run serve(1);
		run work();
		run faults()
	}
}
