package migrate

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"imapferry/state"
)

// Bounds of choosing among those who are due.
const (
	dueLimit = 100
	maxDue   = 1_000_000 // looked through for users who may be migrated
	spread   = 8         // among how many, for each free worker, chance chooses
)

// dispatch gives users to workers: those who have just logged in before others who are due. Nobody is chosen before a worker is free,
// since who logs in meanwhile comes first.
func (e *Engine) dispatch(ctx context.Context) {
	tick := time.NewTicker(e.pace.look)
	defer tick.Stop()
	shelf := time.NewTicker(shelfEvery)
	defer shelf.Stop()
	slots := make(chan struct{}, e.cfg.Workers)
	free := func() int { return cap(slots) - len(slots) }
	begin := func(users []string) {
		for _, user := range users {
			slots <- struct{}{}
			e.wg.Go(func() {
				e.move(ctx, user)
				<-slots
				e.look()
			})
		}
	}
	for {
		begin(e.offered(free())) // who has logged in does not wait for the store either
		if n := free(); n > 0 && !e.needsSecret() {
			begin(e.bulk(e.due(ctx), n))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.watchSessions()
			e.offerAbandoned(ctx)
		case <-shelf.C:
			e.unshelveDue()
		case <-e.wake:
		}
	}
}

// offered takes at most free users who were offered, the newest first, marks them busy, and forgets those of whom nothing has to be known.
func (e *Engine) offered(free int) (users []string) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for u, c := range e.users {
		switch {
		case c.busy || c.settled || now.Before(c.retryAt):
		case c.fresh || len(c.secrets) > 0:
			users = append(users, u)
		case c.patience == patience{}:
			delete(e.users, u) // the store says when it is due
		}
	}
	slices.SortFunc(users, func(a, b string) int { return e.users[b].offered.Compare(e.users[a].offered) })
	return e.take(users, free)
}

// bulk takes at most free of those who are due. Which ones of the first of them is left to chance, else all nodes would want the same.
func (e *Engine) bulk(due []string, free int) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	due = slices.DeleteFunc(due, func(u string) bool {
		c := e.users[u]
		return c != nil && (c.busy || len(c.secrets) > 0)
	})
	first := due[:min(len(due), spread*free)]
	rand.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	return e.take(first, free)
}

// take marks at most n of users busy, and returns them. mu is held.
func (e *Engine) take(users []string, n int) []string {
	users = users[:min(len(users), n)]
	for _, u := range users {
		e.candidate(u).busy = true
	}
	return users
}

// due asks the store for users who are due and may be migrated. Those who may not stay due, and must not hide the
// others for ever.
func (e *Engine) due(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for limit := dueLimit; ; limit *= 10 {
		all, err := e.cfg.Store.Due(ctx, limit)
		if err != nil {
			if ctx.Err() != context.Canceled {
				e.cfg.Log.Warn("asking the store for users who are due", "err", err)
			}
			return nil
		}
		some := slices.DeleteFunc(slices.Clone(all), func(u string) bool { return !e.cfg.admits(u) })
		if len(some) > 0 || len(all) < limit || limit >= maxDue {
			return some
		}
	}
}

// offerAbandoned offers the users in cutover whose worker is gone, before all others: they cannot log in until the attempt is over, so nobody
// else would offer them. To switch who is committed takes no secret; any other attempt is called off by any node past its deadline, and
// is left to that where a worker could do nothing more.
func (e *Engine) offerAbandoned(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	inCutover, err := e.cfg.Store.List(ctx, state.Cutover, "", dueLimit)
	if err != nil {
		e.cfg.Log.Debug("asking the store for users in cutover", "err", err) // the node's beats say it at their own pace
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, rec := range inCutover {
		if rec.Owner != "" || !rec.Committing && e.needsSecret() {
			continue
		}
		if c := e.candidate(rec.User); !c.busy {
			c.offered, c.retryAt, c.fresh, c.settled = time.Now(), time.Time{}, true, false
		}
	}
}
