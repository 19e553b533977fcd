package redisstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// mostRounds bounds how often a query is sent because servers answer that they have run nothing.
const mostRounds = 6

// tryAgain is the pause before the second round; it grows.
const tryAgain = 20 * time.Millisecond

// trip is one run of a script for many keys: rounds to the servers until every query has its answer.
type trip struct {
	store   *Store
	script  *redis.Script
	queries []query
	sure    bool // the answers must be confirmed

	answers []any
	open    []int           // queries that have none
	sent    map[int]another // where a server has sent a query
	load    bool            // a server does not have the script
	lost    bool            // a reply was lost already
	rounds  int
}

// another is where a server has sent a query. With asking, only this time: the slot is on its way there.
type another struct {
	addr   string
	asking bool
}

// run gets all answers. Redirections, and whatever else means that nothing was run, are followed; a lost reply is asked for once more,
// also where the directory says now that the master is.
func (s *Store) run(ctx context.Context, script *redis.Script, queries []query, sure bool) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := trip{store: s, script: script, queries: queries, sure: sure, answers: make([]any, len(queries)), sent: map[int]another{}}
	for i := range queries {
		t.open = append(t.open, i)
	}
	for len(t.open) > 0 {
		if err := t.round(ctx); err != nil {
			return nil, err
		}
	}
	return t.answers, nil
}

// round sends what is open and takes over the answers.
func (t *trip) round(ctx context.Context) error {
	errands, err := t.plan(ctx)
	if err != nil {
		return err
	}
	if len(errands) == 1 {
		errands[0].do(ctx)
	} else {
		var wg sync.WaitGroup
		for _, e := range errands {
			wg.Go(func() { e.do(ctx) })
		}
		wg.Wait()
	}
	t.rounds++
	t.open = nil
	var worst verdict
	var why error
	for _, e := range errands {
		for i, q := range e.queries {
			v := t.judge(ctx, e, i)
			switch v {
			case answered:
				t.answers[q] = e.answers[i]
				continue
			case failed:
				return t.store.explain(e.errs[i])
			}
			t.open = append(t.open, q)
			if v > worst {
				worst, why = v, e.errs[i]
			}
		}
	}
	switch {
	case worst == unknown && t.lost, t.rounds == mostRounds:
		return why
	case worst == unknown:
		t.lost = true
	case worst == later:
		return pause(ctx, time.Duration(t.rounds)*tryAgain, why)
	}
	return nil
}

// plan sorts the open queries by server.
func (t *trip) plan(ctx context.Context) (errands []*errand, err error) {
	known, err := t.store.directory.table(ctx)
	if err != nil {
		return nil, err
	}
	to := map[another]*errand{}
	for _, q := range t.open {
		at, ok := t.sent[q]
		if !ok {
			if at.addr, err = known.of(slotOf(t.queries[q].keys[0])); err != nil {
				t.store.directory.doubt()
				return nil, err
			}
		}
		e := to[at]
		if e == nil {
			e = &errand{trip: t, another: at}
			to[at] = e
			errands = append(errands, e)
		}
		e.queries = append(e.queries, q)
	}
	clear(t.sent)
	return errands, nil
}

// errand is what one server is asked in one round.
type errand struct {
	*trip
	another
	queries []int

	answers []any
	errs    []error
}

// do sends everything down one connection. The first query brings the script along if it has to be loaded.
func (e *errand) do(ctx context.Context) {
	e.answers, e.errs = make([]any, len(e.queries)), make([]error, len(e.queries))
	client, err := e.store.servers.at(e.addr)
	if err != nil {
		for i := range e.errs {
			e.errs[i] = err
		}
		return
	}
	pipe := client.Pipeline()
	cmds := make([]*redis.Cmd, len(e.queries))
	for i, q := range e.queries {
		e.ask(ctx, pipe)
		if query := e.trip.queries[q]; e.load && i == 0 {
			cmds[i] = e.script.Eval(ctx, pipe, query.keys, query.args...)
		} else {
			cmds[i] = e.script.EvalSha(ctx, pipe, query.keys, query.args...)
		}
	}
	var c *confirmation
	if n := e.store.confirm; n > 0 && e.sure {
		e.ask(ctx, pipe)
		c = confirm(ctx, pipe, e.trip.queries[e.queries[0]].keys[0], n, e.store.readOnly)
	}
	all, err := pipe.Exec(ctx)
	if refused := err != nil && !slices.ContainsFunc(all, failedCommand); refused { // else each command has its error
		for _, cmd := range all {
			cmd.SetErr(err)
		}
	}
	for i, cmd := range cmds {
		if e.answers[i], e.errs[i] = cmd.Result(); e.errs[i] == nil {
			e.errs[i] = c.err()
		}
	}
}

// failedCommand reports whether a command has an error of its own. None of them has one if the server let nobody in to send them, as
// with a password that is not right any more: they look as if they had been answered with nothing.
func failedCommand(cmd redis.Cmder) bool { return cmd.Err() != nil }

// ask prepares the next command for a server that does not have the slot yet.
func (e *errand) ask(ctx context.Context, pipe redis.Pipeliner) {
	if e.asking {
		pipe.Do(ctx, "asking")
	}
}

// verdict is what becomes of a query after a round. The higher one decides what becomes of the trip.
type verdict int

const (
	answered verdict = iota
	onward           // nothing was run; at once, maybe elsewhere
	later            // nothing was run; not before things have settled
	unknown          // nobody knows whether it was run
	failed
)

// judge says what becomes of query i of an errand.
func (t *trip) judge(ctx context.Context, e *errand, i int) verdict {
	err := e.errs[i]
	if err == nil {
		return answered
	}
	q, dir := e.queries[i], t.store.directory
	if lost(ctx, err) || redis.HasErrorPrefix(err, "UNBLOCKED") { // that says a master that was deposed while it waited for replicas
		dir.doubt()
		return unknown
	}
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.load = true
		return onward
	}
	if t.store.kind == cluster {
		if addr, ok := redis.IsMovedError(err); ok {
			t.sent[q] = another{addr: reach(addr, e.addr)}
			dir.doubt()
			return onward
		}
		if addr, ok := redis.IsAskError(err); ok {
			t.sent[q] = another{reach(addr, e.addr), true}
			return onward
		}
	}
	dir.doubt() // whatever it is, another server may be the master by now
	if redis.IsTryAgainError(err) || redis.IsReadOnlyError(err) || redis.IsNoReplicasError(err) {
		return later // some keys of the slot are on their way; the master of a moment ago; or one without its replicas
	}
	return failed
}

// pause waits, and returns why if ctx ends first.
func pause(ctx context.Context, d time.Duration, why error) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), why)
	}
}

// explain adds to a server's error what an operator can do about it.
func (s *Store) explain(err error) error {
	switch {
	case redis.IsPermissionError(err):
		return fmt.Errorf("%w (the ACL of imapferry's Redis user must allow the keys ~ferry:*, the channel &ferry:changes and the commands that README.md lists)", err)
	case s.kind != cluster && isMoved(err):
		return fmt.Errorf("%w (this Redis is one of a Cluster: write redis+cluster:// or rediss+cluster:// in state.url)", err)
	}
	return err
}

func isMoved(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask
}
