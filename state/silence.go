package state

import (
	"fmt"
	"time"
)

// Margin returns for how long, beyond the ttl that it promised, a node is waited for: its clock and its observer's do not run at the
// same speed, and a node may take note of the end of its life a little late.
func Margin(ttl time.Duration) time.Duration { return ttl / 10 }

// Taken is why Join has refused: another incarnation has the name, and may be alive.
type Taken struct {
	Node   Node
	Since  time.Time     // it joined, by the store's clock
	Silent time.Duration // for so long it has not been heard of, as far as this process knows
	TTL    time.Duration // what it has promised: it counts as dead when it has been silent for longer than that and the margin
}

func (t *Taken) Error() string {
	return fmt.Sprintf("node name %s is taken since %s, by incarnation %s: stop that process, or give each node a name of its own (state.node)",
		t.Node.Name, t.Since.UTC().Format(time.RFC3339), t.Node.Incarnation)
}

// Left returns how long it takes until the other one counts as dead, if nothing is heard of it any more.
func (t *Taken) Left() time.Duration { return t.TTL + Margin(t.TTL) - t.Silent }

// Silent is why BeginCutover has refused: a node that is not known to be dead has missed its Beats, so the cutover would wait for it in
// vain, and hold the user's sessions meanwhile.
type Silent struct {
	Node string
	For  time.Duration // as far as this process knows
	TTL  time.Duration // what it has promised
}

func (s *Silent) Error() string {
	return fmt.Sprintf("node %s has not been heard of for %s; it counts as dead after %s", s.Node,
		s.For.Round(100*time.Millisecond), (s.TTL + Margin(s.TTL)).Round(100*time.Millisecond))
}

// SilentBeyond returns for how long a node that promised ttl may be silent before no cutover is begun. A Beat is due every third of
// ttl, and may take a while.
func SilentBeyond(ttl time.Duration) time.Duration { return ttl / 2 }
