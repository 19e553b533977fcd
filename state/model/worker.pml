/*
 * A worker: migrate/cutover.go. Another one may take over at any time, since a lease may end at any time; the one that was
 * taken over does not know it.
 */

#define W worker[w]

#define can(k)   (asks(k) && (k == 1 || !W.wiser))
#define lease(k) (user[k].owner == w + 1 && user[k].current)
#define unheld(k) (user[k].owner == 0 || user[k].owner == w + 1 || \
	worker[user[k].owner - 1].st == FREE || worker[user[k].owner - 1].st == GONE)

#ifdef NO_EPOCH
#define mayWrite(k) (true)
#else
#define mayWrite(k) lease(k)
#endif

#define quietAt(k, n) (user[k].named[n] == 0 || user[k].acked[n] || W.buried[n] == user[k].named[n])
#ifdef NO_NAMED
#define named(k) (true)
#else
#define named(k) (user[k].counted)
#endif
#if NODES == 1
#define allQuiet(k) (named(k) && quietAt(k, 0))
#else
#define allQuiet(k) (named(k) && quietAt(k, 0) && quietAt(k, 1))
#endif

#ifdef NO_LIVE_CONFIRM
#define registered(j) asksLife(j)
#else
#define registered(j) (asksLife(j) && lastsLife(j))
#endif

/* I6: only the holder of the newest epoch writes. */
#define WRITES(k) assert(lease(k))

inline watchNobody() {
	W.on = 0; W.inc = 0; W.pulse = 0; W.stood = 0
}

inline forgetNodes() {
	for (i : 0 .. NODES - 1) { W.buried[i] = 0 }
	watchNobody()
}

inline giveUp() {
	forgetNodes();
	W.st = FREE; W.attempt = 0; W.at = 0
}

/* newEpoch raises the epoch of copy k, for the worker w. */
inline newEpoch(k) {
	user[k].owner = w + 1;
	user[k].current = 1;
	if
	:: userSplit && user[1 - k].owner == w + 1 -> user[1 - k].current = 0
	:: else
	fi
#ifdef NO_ATTEMPT
	; user[k].epoch++
#endif
}

/* Clients that have found the new master may stray back to the old one; where nothing is to go on for ever, they do not. */
#ifdef ENDS
#define learn(k) W.wiser = W.wiser || k == 1
#define finds(k, j) (lasts(k) && lastsLife(j))
#else
#define learn(k) skip
#define finds(k, j) (true)
#endif

#ifdef NO_ATTEMPT
#define epochsLeft(k) (user[k].epoch < 4)
#else
#define epochsLeft(k) (true)
#endif

/* Whoever takes over reads the record and ends what it finds (recoverCutover). */
inline Acquire(k) {
	d_step {
		W.st == FREE && can(k) && epochsLeft(k) && user[k].phase != MIGRATED && (unheld(k) || steals > 0) ->
		if
		:: !unheld(k) -> steals--
		:: else
		fi;
		newEpoch(k);
		learn(k);
		if
		:: user[k].phase == TAILING -> W.st = LEASED
		:: user[k].phase == CUTOVER && !user[k].committing -> W.st = TAKEN; W.attempt = user[k].attempt
		:: else ->
			W.attempt = user[k].attempt;
#ifdef NO_TAKEOVER_CONFIRM
			W.st = SURE
#else
			W.st = COMMITTED;
			W.at = k
#endif
		fi
	}
}

inline BeginCutover(k) {
	d_step {
		W.st == LEASED && can(k) && mayWrite(k) && user[k].phase == TAILING && ids < ATTEMPTS ->
		WRITES(k);
		ids++;
		newEpoch(k);
		become(k, CUTOVER);
#ifdef NO_ATTEMPT
		user[k].attempt = user[k].epoch;
		passed = passed & ~bitOf(user[k].attempt);
		missed = missed & ~bitOf(user[k].attempt);
		for (i : 0 .. NODES - 1) { node[i].after = node[i].after & ~bitOf(user[k].attempt) }
#else
		user[k].attempt = ids;
#endif
		W.attempt = user[k].attempt;
		W.st = BEGUN
	}
}

/* The second half of BeginCutover: after the phase is written the registry is read, and whoever lives is named. */
inline Name(k, j) {
	d_step {
		W.st == BEGUN && can(k) && mayWrite(k) && under(k, W.attempt) && registered(j) ->
		for (i : 0 .. NODES - 1) {
			user[k].acked[i] = 0;
			user[k].named[i] = (lives[j].life[i].buried -> 0 : lives[j].life[i].incarnation)
		}
		user[k].counted = 1;
		W.st = AWAITS
	}
}

/* Look, Replaced and Bury are how a worker learns that a node it waits for is dead. */
inline Look(k, n, j) {
	d_step {
		W.st == AWAITS && can(k) && under(k, W.attempt) && !quietAt(k, n) && asksLife(j) && finds(k, j) && !lives[j].life[n].buried &&
		lives[j].life[n].incarnation == user[k].named[n] &&
		(W.on == 0 || W.on == n + 1 && W.pulse != lives[j].life[n].pulse || W.on != 0 && quietAt(k, W.on - 1)) ->
		W.on = n + 1;
		W.inc = lives[j].life[n].incarnation;
		W.pulse = lives[j].life[n].pulse;
		W.stood = 0
	}
}

inline Replaced(k, n, j) {
	d_step {
		W.st == AWAITS && can(k) && under(k, W.attempt) && !quietAt(k, n) && registered(j) &&
		lives[j].life[n].incarnation != user[k].named[n] ->
		W.buried[n] = user[k].named[n];
		watchNobody()
	}
}

#ifdef BURY_BLIND
#define unchanged(n, j) (lives[j].life[n].incarnation == W.inc)
#else
#define unchanged(n, j) (lives[j].life[n].incarnation == W.inc && lives[j].life[n].pulse == W.pulse)
#endif

#ifdef STORE_CLOCK
#define stoodStill (true)
#else
#define stoodStill W.stood
#endif

#ifdef NO_TOMBSTONE_CONFIRM
#define tombLasts(j) (true)
#else
#define tombLasts(j) lastsLife(j)
#endif

inline Bury(n, j) {
	d_step {
		W.st == AWAITS && W.on == n + 1 && stoodStill && asksLife(j) && unchanged(n, j) && (tombLasts(j) || !lives[j].life[n].buried) ->
		if
		:: tombLasts(j) -> W.buried[n] = W.inc
		:: else
		fi;
#ifndef NO_TOMBSTONE
		lives[j].life[n].buried = 1;
#endif
		if
		:: W.buried[n] -> watchNobody()
		:: else
		fi
	}
}

/* The last pass holds whatever the source has taken when it begins. */
inline Pass(k) {
	d_step {
		W.st == AWAITS && can(k) && under(k, W.attempt) && allQuiet(k) ->
		watchNobody();
		W.st = PASSED;
		passed = passed | bitOf(W.attempt)
	}
}

#ifdef NO_DEADLINE
#define inTime(k) (true)
#elif defined(TTL_RULE)
#define inTime(k) (!user[k].late && (!userSplit || node[0].since && node[NODES - 1].since))
#else
#define inTime(k) (!user[k].late)
#endif

inline Commit(k) {
	d_step {
		W.st == PASSED && can(k) && mayWrite(k) && under(k, W.attempt) && (user[k].committing || inTime(k) && allQuiet(k)) ->
		WRITES(k);
		assert(user[k].committing || !user[k].late); /* I5: no commit past the budget */
		user[k].committing = 1;
		user[k].late = 0;
		forgetNodes();
#ifdef NO_CONFIRM
		W.st = SURE
#else
		W.st = COMMITTED;
		W.at = k
#endif
	}
}

/* WAIT on the connection that has written. */
inline Confirm() {
	d_step { W.st == COMMITTED && !away && lasts(W.at) -> W.at = 0; W.st = SURE }
}

inline InDoubt() {
	d_step {
		W.st == COMMITTED && (away || !lasts(W.at)) ->
		W.wiser = !lasts(W.at);
		giveUp()
	}
}

inline Switch(k) {
	d_step {
		W.st == SURE && can(k) && mayWrite(k) && under(k, W.attempt) && user[k].committing ->
		WRITES(k);
		become(k, MIGRATED);
		switched = switched | bitOf(W.attempt);
		assert((missed & switched) == 0); /* I3 */
		giveUp()
	}
}

inline CallOff(k) {
	d_step {
		(W.st == BEGUN || W.st == AWAITS || W.st == PASSED || W.st == TAKEN) && can(k) && mayWrite(k) &&
		under(k, W.attempt) && !user[k].committing ->
		WRITES(k);
		endAttempt(k);
		forgetNodes();
		W.attempt = 0;
		W.st = LEASED
	}
}

inline Lost(k) {
	d_step {
		W.st != FREE && W.st != GONE && can(k) && !lease(k) ->
		learn(k);
		giveUp()
	}
}

inline CrashWorker() {
	d_step {
		W.st != FREE && W.st != GONE && crashes > 0 ->
		crashes--;
		W.wiser = 0;
		giveUp()
	}
}

#if NODES == 1
#define watches(k) :: Look(k, 0, 0) :: Look(k, 0, 1) :: Replaced(k, 0, 0) :: Replaced(k, 0, 1)
#else
#define watches(k) \
	:: Look(k, 0, 0) :: Look(k, 0, 1) :: Replaced(k, 0, 0) :: Replaced(k, 0, 1) \
	:: Look(k, 1, 0) :: Look(k, 1, 1) :: Replaced(k, 1, 0) :: Replaced(k, 1, 1)
#endif
#define works(k) \
	:: Acquire(k) :: BeginCutover(k) :: Name(k, 0) :: Name(k, 1) :: Pass(k) :: Commit(k) :: Switch(k) :: CallOff(k) :: Lost(k)

proctype work(byte w) {
end:
	do
	works(0)
	works(1)
	watches(0)
	watches(1)
	:: Bury(0, 0)
	:: Bury(0, 1)
#if NODES > 1
	:: Bury(1, 0)
	:: Bury(1, 1)
#endif
	:: Confirm()
	:: InDoubt()
	:: CrashWorker()
#ifdef ENDS
	:: d_step { W.st == FREE -> W.st = GONE; W.wiser = 0 }
#endif
	od
}
