/*
 * The store: what redisstate does, on masters that fail over. The record of a user and the registry of nodes are logs of their
 * own, because Redis Cluster keeps them on different masters; with ONE_LOG they share one, as under Sentinel.
 *
 * A failover loses a suffix of the writes that no WAIT has confirmed. Copy 0 is the first master, copy 1 its replica, which
 * is not told apart from it before the failover: what copy 0 is written after that moment is lost. Copy 0 is deposed then
 * and does not know it: it still answers and takes writes, and anybody may ask either copy, again and again. So a write or
 * a read lasts exactly if its copy is not deposed when it is confirmed; to confirm a read is to write something after it, on
 * the same connection, and WAIT.
 *
 * A lost request is a step not taken, a late one a step taken late. A lost reply is a step after which its process
 * crashes, or a confirmation that does not come. With LATE_ACK an Acknowledge may arrive when its sender has gone on.
 */

#ifdef ONE_LOG
#define livesAre userSplit
#else
#define livesAre livesSplit
#endif

#define asks(k)      (!away && (k == 0 || userSplit))
#define lasts(k)     (k == 1 || !userSplit)
#define asksLife(j)  (!away && (j == 0 || livesAre))
#define lastsLife(j) (j == 1 || !livesAre)

#define under(k, a) (user[k].phase == CUTOVER && user[k].attempt == a)

/* become moves copy k to phase p; a new attempt begins with nothing. */
inline become(k, p) {
	for (i : 0 .. NODES - 1) {
		user[k].named[i] = 0;
		user[k].acked[i] = 0
	}
	user[k].counted = 0;
	user[k].phase = p;
	user[k].committing = 0;
	user[k].late = 0
}

/* endAttempt calls off what is under way on copy k. */
inline endAttempt(k) {
	become(k, TAILING);
	if
	:: !under(0, user[k].attempt) && !under(1, user[k].attempt) && !(switched & bitOf(user[k].attempt)) ->
		passed = passed & ~bitOf(user[k].attempt);
		missed = missed & ~bitOf(user[k].attempt);
		for (i : 0 .. NODES - 1) { node[i].after = node[i].after & ~bitOf(user[k].attempt) }
	:: else
	fi;
	user[k].attempt = 0
}

inline failUserOver() {
	for (i : 0 .. NODES - 1) {
		user[1].named[i] = user[0].named[i];
		user[1].acked[i] = user[0].acked[i]
	}
	user[1].phase = user[0].phase;
	user[1].counted = user[0].counted;
	user[1].attempt = user[0].attempt;
	user[1].owner = user[0].owner;
	user[1].current = user[0].current;
	user[1].committing = user[0].committing;
	user[1].late = user[0].late;
#ifdef NO_ATTEMPT
	user[1].epoch = user[0].epoch;
#endif
	userSplit = 1
}

inline failLivesOver() {
	for (i : 0 .. NODES - 1) {
		lives[1].life[i].incarnation = lives[0].life[i].incarnation;
		lives[1].life[i].pulse = lives[0].life[i].pulse;
		lives[1].life[i].buried = lives[0].life[i].buried
	}
	livesSplit = 1
}
