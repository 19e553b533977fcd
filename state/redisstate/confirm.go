package redisstate

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// confirmWithin bounds how long replicas may take to confirm. A cutover's budget is some seconds.
const confirmWithin = time.Second

// waitLate is how much later than asked WAIT may end: Redis looks at timeouts ten times a second.
const waitLate = 150 * time.Millisecond

// confirmation is what is sent behind a script, on the same connection, when answers must be confirmed: a write, and WAIT. Replicas that
// have this write have everything that the connection's server did before it, and they are no masters. So what the script wrote lasts as
// long as one of them is promoted, and what it read was not read from a master that was deposed before.
//
// The write is there even if the script wrote something, because a script that is repeated may find that it was done already. WAIT alone
// waits for what was written before, and passes at once where nothing was, however long the replicas may have been silent or deposed.
type confirmation struct {
	want   int
	within time.Duration
	mark   redis.Cmder
	wait   *redis.Cmd
}

// confirm adds a confirmation by n replicas to what is sent about key. A readOnly one tells only whether there are n replicas.
func confirm(ctx context.Context, pipe redis.Pipeliner, key string, n int, readOnly bool) *confirmation {
	c := &confirmation{want: n, within: confirmWithin}
	if end, ok := ctx.Deadline(); ok { // to know how many have confirmed is better than to hear nothing
		c.within = min(c.within, time.Until(end)-waitLate)
	}
	c.within = max(c.within, time.Millisecond) // 0 would be for ever
	if readOnly {
		c.mark = pipe.Exists(ctx, markKey(key))
	} else {
		c.mark = pipe.Set(ctx, markKey(key), 1, 0)
	}
	c.wait = pipe.Do(ctx, "wait", n, c.within.Milliseconds())
	return c
}

// err returns why the answers before it do not count; nil confirms nothing and has none.
func (c *confirmation) err() error {
	if c == nil {
		return nil
	}
	if err := c.mark.Err(); err != nil {
		return err
	}
	n, err := c.wait.Int()
	if err != nil {
		return err
	}
	if n < c.want {
		return &shortfall{n, c.want, c.within}
	}
	return nil
}

// shortfall says that too few replicas have confirmed. What was written may last, and what was read may be true, or not.
type shortfall struct {
	got, want int
	within    time.Duration
}

func (s *shortfall) Error() string {
	return fmt.Sprintf("only %d of %d replicas confirmed within %v, so it is not known whether this lasts", s.got, s.want, s.within.Round(time.Millisecond))
}
