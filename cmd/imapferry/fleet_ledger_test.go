package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// fate is how far one change of a letter has come.
type fate int

const (
	unasked fate = iota
	asked        // sent and not acknowledged: it may have happened, or happen yet
	granted      // acknowledged
)

// posting is a message, and what its writer knows of it. Each flag is changed once at most, and so is the letter itself removed: whatever
// the order in which commands that nobody has acknowledged take effect, what was acknowledged has an outcome that is certain.
type posting struct {
	subject string
	folder  string
	uid     uint32            // 0 unless APPEND was acknowledged
	had     []string          // flags that it was appended with
	changes map[string]change // by flag
	removal fate
	history []string // what happened to it when, and by which node
}

// note adds to the history.
func (l *posting) note(what string, n *fleetNode) {
	l.history = append(l.history, fmt.Sprintf("%s %s by %s", time.Now().UTC().Format("15:04:05.000"), what, n.name))
}

// change is the one change of a flag.
type change struct {
	set  bool
	fate fate
}

// judge compares what a server shows of a letter with what was acknowledged. shown is whether it is there at all.
func (l *posting) judge(shown bool, flags []string) error {
	switch {
	case shown && l.removal == granted:
		return fmt.Errorf("%s is there again", l)
	case !shown && l.removal == unasked:
		return fmt.Errorf("%s is lost", l)
	case !shown || l.removal != unasked: // \Deleted may be set, or not
		return nil
	}
	for _, flag := range letterFlags {
		want, c := slices.Contains(l.had, flag), l.changes[flag]
		if c.fate == asked {
			continue
		}
		if c.fate == granted {
			want = c.set
		}
		if slices.Contains(flags, flag) != want {
			return fmt.Errorf("%s has %q; %s should be %v", l, flags, flag, want)
		}
	}
	return nil
}

func (l *posting) String() string {
	return fmt.Sprintf("%q (%s, UID %d, with %q; %s)", l.subject, l.folder, l.uid, l.had, strings.Join(l.history, ", "))
}

// letterFlags are those that writers change.
var letterFlags = []string{`\Seen`, `\Flagged`, `\Answered`, "$Label1", "NonJunk"}

// tally counts by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int // guarded by mu
}

func (c *tally) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		text += fmt.Sprintf(", %s %d", name, c.n[name])
	}
	return text[min(2, len(text)):]
}

// timeline is what happened when.
type timeline struct {
	began time.Time

	mu    sync.Mutex
	lines []string // guarded by mu
}

func (l *timeline) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.lines = append(l.lines, fmt.Sprintf("%s %7.3f ", now.UTC().Format("15:04:05.000"), now.Sub(l.began).Seconds())+fmt.Sprintf(format, args...))
}

func (l *timeline) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := ""
	for _, line := range l.lines {
		text += line + "\n"
	}
	return text
}
