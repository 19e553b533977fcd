package imapmodel

import (
	"fmt"
	"strings"
	"time"
)

// traced is how many lines of the wire a session remembers.
const traced = 40

// trace remembers the last lines of a session's wire.
type trace struct {
	start time.Time
	lines []string // a ring once it is full
	next  int
}

func (t *trace) add(who, line string) {
	text := fmt.Sprintf("%9.3f %s: %s", time.Since(t.start).Seconds(), who, shorten(strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(strings.TrimSuffix(line, "\r\n")), 300))
	if len(t.lines) < traced {
		t.lines = append(t.lines, text)
		return
	}
	t.lines[t.next] = text
	t.next = (t.next + 1) % traced
}

func (t *trace) String() string {
	return strings.Join(append(append([]string{}, t.lines[t.next:]...), t.lines[:t.next]...), "\n")
}
