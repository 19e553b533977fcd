/* What the world does: time goes by, masters fail over, the store goes away. */

#if WORKERS == 1
#define watched(n) (worker[0].on == n + 1 && !worker[0].stood)
#else
#define watched(n) (worker[0].on == n + 1 && !worker[0].stood || worker[1].on == n + 1 && !worker[1].stood)
#endif

#ifdef TTL_RULE
#define unsettled(n) (userSplit && !N.since)
#else
#define unsettled(n) (false)
#endif

/* TTL goes by for one node since its last Beat began, and TTL + margin for whoever watches its pulse, since that
 * was seen later. */
inline Expire(n) {
	d_step {
		N.alive || N.began || watched(n) || unsettled(n) ->
#ifdef TTL_RULE
		N.since = userSplit;
#endif
		for (i : 0 .. WORKERS - 1) {
			if
			:: worker[i].on == n + 1 -> worker[i].stood = 1
			:: else
			fi
		}
		N.alive = 0;
		N.began = 0
	}
}

inline Deadline(k) {
	d_step { (k == 0 || userSplit) && user[k].phase == CUTOVER && !user[k].late && !user[k].committing -> user[k].late = 1 }
}

#ifdef OUTAGE
bit wasAway;
#endif

proctype faults() {
end:
	do
	:: Deadline(0)
	:: Deadline(1)
#ifdef EXPIRY
	:: Expire(0)
#if NODES > 1
	:: Expire(1)
#endif
#endif
#ifdef OUTAGE
	:: d_step { !wasAway -> wasAway = 1; away = 1 }
	:: d_step { !wasAway -> wasAway = 1; away = 2 }
	:: d_step { away == 1 -> away = 0 }
#endif
#ifdef USER_FAILOVER
	:: d_step {
		!userSplit && !away ->
#ifdef ONE_LOG
		failLivesOver();
#endif
		failUserOver()
	}
#endif
#ifdef LIVES_FAILOVER
	:: d_step { !livesSplit && !away -> failLivesOver() }
#endif
	od
}
