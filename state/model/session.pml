/*
 * The session of a node, whose client writes again and again: proxy/route.go, proxy/seat.go, proxy/relay*.go. It is a
 * process beside the node's own loop, and may be late like any other.
 */

#define gate (N.hold == 0 && !N.lost)

/* A login takes its seat, then the record is read. */
inline Login(k) {
	d_step {
		runs && !N.ended && N.seat == NOBODY && gate &&
		(N.knows || user[k].phase == TAILING && leads(k) || user[k].phase == MIGRATED && asks(k)) ->
		if
		:: N.knows || user[k].phase == MIGRATED -> N.seat = TARGET; N.knows = 1; targetTook
		:: else -> N.seat = ROUTED
		fi
	}
}

inline Attach() {
	d_step { N.seat == ROUTED -> N.seat = SOURCE }
}

inline Send() {
	d_step { N.seat == SOURCE && gate && N.flight == NOTHING -> N.flight = SENT }
}

/* The source takes a command when it likes. */
inline Take() {
	d_step { N.flight == SENT -> N.flight = DONE; N.after = passed }
}

#ifdef NO_LEASE_CHECK_AFTER_READ
#define leased (true)
#else
#define leased N.alive
#endif

/* The reply is read, and then the lease looked at; what comes too late does not reach the client. */
inline Answer() {
	d_step {
		N.flight == DONE ->
		if
		:: leased -> N.flight = CHECKED
		:: else -> endSession()
		fi
	}
}

/* The client hears that its write is stored. I3: it is nothing that the source took after the last pass of the attempt
 * that was switched, and nothing that it took after the target had taken writes. */
inline Deliver() {
	d_step {
		N.flight == CHECKED ->
		assert((N.after & 1) == 0);
		missed = missed | N.after;
		assert((missed & switched) == 0);
		N.flight = NOTHING;
		N.after = 0
	}
}

proctype session(byte n) {
end:
	do
	:: Login(0)
	:: Login(1)
	:: Attach()
	:: Send()
	:: Take()
	:: Answer()
	:: Deliver()
	od
}
