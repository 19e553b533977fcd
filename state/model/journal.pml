/*
 * What the journals are for (I7): the store has lost switches that were confirmed, because it was emptied, restored from an
 * older snapshot, or failed over to a replica that lacked them. cutover.pml is about how a switch comes about; here it is one
 * step, and a second user is switched as well, so that the sequence may come to where it was.
 *
 *	Switch ─► Learn: fsync of the journal ─► the session moves, the target takes writes
 *	Lose   ─► every node posts its journal to the new run of the store ─► users that no journal knows are served, workers work
 *
 * A journalled switch beats the record, at once and for ever. But a node whose own journal does not know the user sees
 * nothing amiss in a record that has become older, neither by the store's id, which a snapshot restores, nor by the
 * sequence, which is not behind its own or has grown again (mutant BY_SEQUENCE). So what is posted belongs to one run of the
 * store (Redis: run_id, new with every start and every promotion), and until all nodes have posted to it nobody trusts a
 * record that leads to the source. An operator may release that.
 *
 * Two nodes with a session of the user X each, one worker, LOSSES losses, nodes that crash and keep their journals.
 * Not in it: a node that loses its disk together with a loss of the store.
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
	byte moving;   /* has moved, and not yet written it down: MOVE_BEFORE_JOURNAL */
	byte journal;  /* users known to be migrated, on disk */
	byte sequence  /* of the newest switch that it knows, on disk */
}

Node node[2];

byte migrated, sequence; /* the store */
byte kept, keptSequence; /* a snapshot of it */
bit emptied;             /* the store's id is another one than before */
bit posted[2];           /* to the present run of the store */

byte losses = LOSSES, crashes = CRASHES;
bit took;                /* the target has acknowledged a write of X */
bit released, decided; /* an operator trusts the records of this run; of any run so far */

#define N node[n]

#ifdef BY_SEQUENCE
#define trusts(n) (!emptied && sequence >= node[n].sequence || released)
#define mayWork (trusts(0) || trusts(1))
#else
#define trusts(n) (posted[0] && posted[1] || released)
#define mayWork (posted[0] && posted[1] || released)
#endif

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

/* Learn: the switch is read and journalled, then acted on. */
inline Learn() {
	d_step {
		!N.down && N.seat == HELD && (migrated & X) && trusts(n) ->
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

/* Post: the journal repairs the records of the present run. */
inline Post() {
	d_step {
		!N.down && !posted[n] ->
#ifndef NO_HOLD
		if
		:: N.seat == SOURCE -> N.seat = HELD
		:: else
		fi;
#endif
#ifndef NO_REPAIR
		migrated = migrated | N.journal;
		sequence = (N.sequence > sequence -> N.sequence : sequence);
#endif
		posted[n] = 1
	}
}

inline Crash() {
	d_step {
		!N.down && crashes > 0 ->
		crashes--;
		N.down = 1;
		N.moving = 0;
		N.seat = NOBODY
	}
}

proctype serve(byte n) {
end:
	do
	:: Login()
	:: Write()
	:: Learn()
	:: WriteDown()
	:: CatchUp()
	:: Resume()
#ifndef BY_SEQUENCE
	:: Post()
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
	posted[0] = 0;
	posted[1] = 0;
	released = 0
}

proctype faults() {
end:
	do
	:: d_step { keptSequence != sequence || kept != migrated -> kept = migrated; keptSequence = sequence }
	:: d_step { losses > 0 -> migrated = kept; sequence = keptSequence; lose() }
	:: d_step { losses > 0 -> migrated = 0; sequence = 0; emptied = 1; lose() }
#ifdef RELEASE
	:: d_step { !released && !(posted[0] && posted[1]) -> released = 1; decided = 1 }
#endif
	od
}

init {
	d_step {
		posted[0] = 1;
		posted[1] = 1
	}
	atomic {
		run serve(0);
		run serve(1);
		run work();
		run faults()
	}
}
