/*
 * A cutover ends (I5). With ENDS nobody writes, and every other step of the model leads on: there is no cycle, which spin
 * proves (a cycle without progress is one without any progress label, and there are none). So every execution comes
 * to a state in which nothing can happen any more, however it is scheduled, and that state must be an end.
 */

#define latest userSplit /* the copy that lasts */
#define phaseIs(p) (user[latest].phase == p)
#define inDoubt (away || phaseIs(CUTOVER) && user[latest].committing && nobodyWorks)

/* Whoever is served is served where the record says, and nobody is held for ever. */
#define settled(n) \
	(N.seat != SOURCE || phaseIs(TAILING) && !away && !N.hold && !N.lost) && \
	(N.seat != TARGET || phaseIs(MIGRATED) || user[latest].committing) && \
	(!runs || N.lost || N.ended || !N.hold || inDoubt)

proctype watch() {
	byte n;
	timeout ->
	assert(!phaseIs(CUTOVER) || inDoubt);
	do
	:: n < NODES -> assert(settled(n)); n++
	:: else -> break
	od
}
