/* What the store, the workers and the nodes know, and what nobody knows but the properties ask about. */

/* phase, as in state/phase.go */
#define TAILING  1
#define CUTOVER  2
#define MIGRATED 3

typedef Record {
	byte phase;
	byte attempt;      /* 1, 2 …: random ids, which never come twice, not even on a deposed master */
	byte owner;        /* worker + 1, or 0 */
	bit current;       /* the epoch is the one that this worker knows */
	bit committing;
	bit late;          /* the deadline has passed, by this master's clock */
	bit counted;       /* the nodes that must acknowledge have been named */
	byte named[NODES]; /* the incarnation that must, or 0 */
	bit acked[NODES];
#ifdef NO_ATTEMPT
	byte epoch
#endif
}

typedef Life {
	byte incarnation;
	byte pulse;        /* what the last Beat has written */
	bit buried         /* a tombstone refuses what this incarnation sends */
}

typedef Registry { Life life[NODES] }

typedef Worker {
	byte st;
	byte attempt;
	byte at;             /* the copy that it has written committing to */
	bit wiser;           /* a confirmation did not come, so it has asked anew who is master */
	byte buried[NODES];  /* incarnations that it knows to be dead */
	byte on, inc, pulse; /* node + 1 whose pulse it watches, and what it saw */
	bit stood            /* for TTL + margin of its own clock */
}

/* Worker.st */
#define FREE      0 /* holds no lease that it knows of */
#define LEASED    1
#define BEGUN     2 /* BeginCutover has written the phase */
#define AWAITS    3 /* has named the nodes, awaits their acknowledgements */
#define PASSED    4 /* the last pass has begun to read the source */
#define COMMITTED 5 /* committing was written or found, and is not confirmed */
#define SURE      6 /* committing is confirmed */
#define TAKEN     7 /* has taken over an attempt that is not committed */
#define GONE      8 /* for good */

typedef Node {
	byte inc;     /* this process's incarnation; 0: it does not run */
	byte incs;    /* how many there were */
	bit alive;    /* the lease is valid, by CLOCK_BOOTTIME */
	bit began;    /* and would be if the Beat that is under way were confirmed now */
	byte pulse;   /* 1, 2 …: random, so that no two Beats write the same, not even on a deposed master */
	byte beat;    /* copy + 1 to which a Beat is under way */
	bit lost;     /* the node knows that its life is in doubt: nothing goes to the source */
	bit ended;    /* and that this incarnation has ended */
	byte hold;    /* the attempt that it holds for */
#ifdef TTL_RULE
	bit since;    /* TTL has gone by since the master of the user's record changed */
#endif
	bit knows;    /* its journal says that the user is migrated */
	byte seat;    /* of its session */
	byte flight;  /* of its session's command */
	byte after;   /* the attempts whose last pass had begun when the source took that command */
#ifdef LATE_ACK
	byte ack, ackInc; /* an Acknowledge under way, whatever its sender has done since */
#endif
#ifdef ENDS
	byte over     /* attempts that it has read to be over */
#endif
}

/* Node.seat */
#define NOBODY  0
#define ROUTED  1 /* has read that the source serves, and is on its way there */
#define SOURCE  2
#define TARGET  3

/* Node.flight */
#define NOTHING 0
#define SENT    1 /* past the gate */
#define DONE    2 /* the source has taken it and answered */
#define CHECKED 3 /* the answer is read, and the lease was valid after that */

Record user[2];
Registry lives[2];
bit userSplit, livesSplit; /* the failover has been */
byte away;                 /* nobody can ask the store: 1 for a while, 2 for good */

Worker worker[WORKERS];
Node node[NODES];

byte ids;              /* attempts begun */
byte steals = STEALS;  /* how many leases may still end although their workers live */
byte crashes = CRASHES;

/* Attempts as bits; 1 is the target itself: since it took a write that a client was told of. */
byte passed;           /* whose last pass has begun */
byte missed;           /* and which a write came after that a client was told of */
byte switched;

hidden byte i;

#define bitOf(a) (1 << (a))
#define targetTook passed = passed | 1
