/*
 * A node: proxy/node.go, proxy/hold.go. A process that is stopped takes no steps, and goes on later as if nothing had
 * been; so each step here may be arbitrarily late, after any check that came before it.
 */

#define N node[n]
#define runs (N.inc != 0)
#define mine(j) (lives[j].life[n].incarnation == N.inc && !lives[j].life[n].buried)

#if WORKERS == 1
#define nobodyWorks (worker[0].st == GONE)
#else
#define nobodyWorks (worker[0].st == GONE && worker[1].st == GONE)
#endif

inline endSession() {
	N.seat = NOBODY;
	N.flight = NOTHING;
	N.after = 0
}

/* A login that has read the record before a hold must read it again. */
inline turn() {
#ifndef NO_TURN
	if
	:: N.seat == ROUTED -> N.seat = NOBODY
	:: else
	fi
#else
	skip
#endif
}

#define startHold(a) N.hold = a; turn()

inline cutFlight() {
#ifdef KEEP_IN_FLIGHT
	skip
#else
	if
	:: N.flight != NOTHING -> endSession()
	:: else
	fi
#endif
}

inline toTarget() {
	N.hold = 0;
	N.knows = 1;
	if
	:: N.seat == SOURCE && N.flight == NOTHING -> N.seat = TARGET; targetTook
	:: N.seat == SOURCE && N.flight != NOTHING -> endSession()
	:: else -> turn()
	fi
}

#ifdef NO_JOIN_CONFIRM
#define joins(j) asksLife(j)
#else
#define joins(j) (asksLife(j) && lastsLife(j))
#endif

/* A process joins at its start, and again when it has learned that its incarnation has ended. */
inline Join(j) {
	d_step {
		(!runs || N.ended) && N.incs < INCARNATIONS && joins(j) ->
		N.incs++;
		N.lost = runs;
		N.inc = N.incs;
		N.alive = 1; N.began = 0; N.beat = 0; N.ended = 0;
		lives[j].life[n].incarnation = N.inc;
		lives[j].life[n].pulse = 0;
		lives[j].life[n].buried = 0
	}
}

inline Beat(j) {
	d_step {
		runs && !N.ended && !N.beat && asksLife(j) && mine(j) && N.pulse < BEATS ->
		N.pulse++;
#ifdef PLAIN_COUNTER
		lives[j].life[n].pulse++;
#else
		lives[j].life[n].pulse = N.pulse;
#endif
		N.began = 1;
		N.beat = j + 1
	}
}

inline Beaten() {
	d_step {
		N.beat && !away ->
#ifdef NO_BEAT_CONFIRM
		N.alive = N.alive || N.began;
#elif defined(BEAT_FROM_REPLY)
		N.alive = N.alive || lastsLife(N.beat - 1);
#else
		N.alive = N.alive || N.began && lastsLife(N.beat - 1);
#endif
		N.beat = 0;
		N.began = 0
	}
}

/* doubt: a node that sees that its lease has ended holds everything, and cuts what has a command in flight. */
inline Doubt() {
	d_step {
		runs && !N.lost && !N.alive ->
		N.lost = 1;
		cutFlight();
		turn()
	}
}

inline Fenced(j) {
	d_step {
		runs && !N.ended && asksLife(j) && lives[j].life[n].incarnation == N.inc && lives[j].life[n].buried ->
		N.ended = 1; N.lost = 1; N.alive = 0; N.began = 0; N.beat = 0;
		cutFlight();
		turn()
	}
}

/* leads: a record that leads to the source. */
#ifdef NO_ROUTE_CONFIRM
#define leads(k) asks(k)
#else
#define leads(k) (asks(k) && lasts(k))
#endif

#ifdef NO_REGAIN_CONFIRM
#define regains(k) asks(k)
#else
#define regains(k) (asks(k) && lasts(k))
#endif

#ifdef NO_CALLOFF_CONFIRM
#define decides(k) asks(k)
#else
#define decides(k) (asks(k) && lasts(k))
#endif

/* regain: with a valid lease again, the record is read before anything goes on. */
inline Regain(k) {
	d_step {
		runs && N.lost && !N.ended && N.alive && (N.knows || regains(k) || asks(k) && user[k].phase == MIGRATED) ->
		N.lost = 0;
		if
		:: N.knows || user[k].phase == MIGRATED -> toTarget()
		:: !N.knows && user[k].phase == TAILING -> N.hold = 0
		:: !N.knows && user[k].phase == CUTOVER -> startHold(user[k].attempt)
		fi
	}
}

#ifdef ENDS
#define isNews(a) (!N.knows && !(N.over & bitOf(a)))
#else
#define isNews(a) (!N.knows)
#endif

inline Inbox(k) {
	d_step {
		runs && !N.ended && asks(k) && user[k].phase == CUTOVER && user[k].named[n] == N.inc && !user[k].acked[n] &&
		N.hold == 0 && isNews(user[k].attempt) ->
		startHold(user[k].attempt)
	}
}

#ifdef ACK_BEFORE_QUIET
#define quiet (true)
#else
#define quiet (N.flight == NOTHING)
#endif

#ifdef LATE_ACK
inline Acknowledge() {
	d_step {
		runs && !N.ended && N.hold && quiet && (N.ack != N.hold || N.ackInc != N.inc) ->
		N.ack = N.hold;
		N.ackInc = N.inc
	}
}

inline Acknowledged(k) {
	d_step {
		N.ack && asks(k) && under(k, N.ack) && user[k].named[n] == N.ackInc && !user[k].acked[n] ->
		user[k].acked[n] = 1
	}
}
#else
inline Acknowledged(k) {
	d_step {
		runs && !N.ended && N.hold && quiet && asks(k) && under(k, N.hold) && user[k].named[n] == N.inc && !user[k].acked[n] ->
		user[k].acked[n] = 1
	}
}
#endif

/* How a hold ends: proxy/hold.go await. The switch may be read anywhere, for it follows a confirmed commit; a call-off
 * must be confirmed. */
inline ReadSwitched(k) {
	d_step {
		runs && N.hold && asks(k) && user[k].phase == MIGRATED -> toTarget()
	}
}

#ifdef ACT_ON_COMMITTING
inline ReadCommitting(k) {
	d_step {
		runs && N.hold && asks(k) && under(k, N.hold) && user[k].committing -> toTarget()
	}
}
#endif

inline ReadOver(k) {
	d_step {
		runs && N.hold && decides(k) && user[k].phase != MIGRATED && !under(k, N.hold) ->
#ifdef ENDS
		N.over = N.over | bitOf(N.hold);
#endif
		if
		:: user[k].phase == TAILING -> N.hold = 0
		:: else -> startHold(user[k].attempt)
		fi
	}
}

#ifdef RESUME_ON_TIMEOUT
inline Timeout() {
	d_step { runs && N.hold -> N.hold = 0 }
}
#endif

/* Anyone may call off past the deadline. */
inline CallOffLate(k) {
	d_step {
		runs && asks(k) && user[k].phase == CUTOVER && user[k].late && !user[k].committing ->
		endAttempt(k);
		user[k].owner = 0;
		user[k].current = 0
#ifdef NO_ATTEMPT
		; user[k].epoch++
#endif
	}
}

/* Budget + 10 s without an answer, or a lease lost for that long: in doubt; whoever is held hears BYE. */
inline Bye() {
	d_step {
		runs && (N.hold || N.lost) && N.seat == SOURCE && (away || N.lost || nobodyWorks) -> endSession()
	}
}

/* The next process of this name may join because this one is dead: that it has waited to learn so is left out. */
inline Crash() {
	d_step {
		runs && N.incs < INCARNATIONS && crashes > 0 ->
		crashes--;
		endSession();
		N.inc = 0; N.alive = 0; N.began = 0; N.beat = 0; N.lost = 0; N.ended = 0; N.hold = 0
	}
}

#ifdef NO_ANYONE
#define callsOff(k)
#else
#define callsOff(k) :: CallOffLate(k)
#endif
#ifdef ACT_ON_COMMITTING
#define rash(k) :: ReadCommitting(k)
#else
#define rash(k)
#endif
#define reads(k) \
	:: Regain(k) :: Inbox(k) :: Acknowledged(k) :: ReadSwitched(k) :: ReadOver(k) callsOff(k) rash(k)

proctype serve(byte n) {
end:
	do
	reads(0)
	reads(1)
	:: Join(0)
	:: Join(1)
	:: Beat(0)
	:: Beat(1)
	:: Fenced(0)
	:: Fenced(1)
	:: Beaten()
	:: Doubt()
#ifdef LATE_ACK
	:: Acknowledge()
#endif
#ifndef NO_BYE
	:: Bye()
#endif
	:: Crash()
#ifdef RESUME_ON_TIMEOUT
	:: Timeout()
#endif
	od
}
