package testbed

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Replica is what a client that knows QRESYNC or CONDSTORE (RFC 7162) remembers of INBOX while it is offline.
type Replica struct {
	UIDValidity, ModSeq string
	Flags               map[uint32]string // by UID; sorted, without \Recent
}

// Ways are how a client can ask for what has changed since it was online.
var Ways = []string{"QRESYNC", "QRESYNC with known UIDs", "QRESYNC with pairs", "CHANGEDSINCE with VANISHED"}

// Download is the first synchronisation, or the truth to compare with.
func Download(c *Client) (*Replica, error) {
	r := &Replica{Flags: map[uint32]string{}}
	return r, r.all(c, "ENABLE QRESYNC", "EXAMINE INBOX", "UID FETCH 1:* (FLAGS)")
}

// Resynchronize asks, in one of Ways, for what has changed since the client was online.
func (r *Replica) Resynchronize(c *Client, way string) error {
	known, last := r.known()
	ask := map[string][]string{
		Ways[0]: {fmt.Sprintf("EXAMINE INBOX (QRESYNC (%s %s))", r.UIDValidity, r.ModSeq)},
		Ways[1]: {fmt.Sprintf("EXAMINE INBOX (QRESYNC (%s %s %s))", r.UIDValidity, r.ModSeq, known)},
		Ways[2]: {fmt.Sprintf("EXAMINE INBOX (QRESYNC (%s %s 1:%d (%d %d)))", r.UIDValidity, r.ModSeq, last, len(r.Flags), last)},
		Ways[3]: {"EXAMINE INBOX", fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %s VANISHED)", r.ModSeq)},
	}[way]
	if err := r.all(c, append([]string{"ENABLE QRESYNC"}, ask...)...); err != nil {
		return err
	}
	return r.do(c, fmt.Sprintf("UID FETCH %d:* (FLAGS)", last+1)) // of what is not known nothing was said
}

// Diff returns how r differs from the truth.
func (r *Replica) Diff(truth *Replica) (lines []string) {
	for _, uid := range slices.Sorted(maps.Keys(r.Flags)) {
		if want, ok := truth.Flags[uid]; !ok || want != r.Flags[uid] {
			lines = append(lines, fmt.Sprintf("uid %d (%s), in truth (%s), there %v", uid, r.Flags[uid], want, ok))
		}
	}
	if got, want := len(r.Flags), len(truth.Flags); got < want {
		lines = append(lines, fmt.Sprintf("%d messages, in truth %d", got, want))
	}
	return lines
}

// known returns the UIDs that the client remembers, as a set and the last of them.
func (r *Replica) known() (set string, last uint32) {
	var parts []string
	for _, uid := range slices.Sorted(maps.Keys(r.Flags)) {
		parts = append(parts, strconv.FormatUint(uint64(uid), 10))
		last = uid
	}
	return strings.Join(parts, ","), last
}

func (r *Replica) all(c *Client, commands ...string) error {
	for _, command := range commands {
		if err := r.do(c, command); err != nil {
			return err
		}
	}
	return nil
}

// do runs a command and takes over what the server says of messages.
func (r *Replica) do(c *Client, command string) error {
	replies, err := c.Do(command)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	for _, reply := range replies {
		name, value, _ := strings.Cut(reply.Code, " ")
		switch {
		case name == "UIDVALIDITY" && r.UIDValidity != "" && r.UIDValidity != value:
			return fmt.Errorf("%s: UIDVALIDITY %s became %s", command, r.UIDValidity, value)
		case name == "UIDVALIDITY":
			r.UIDValidity = value
		case name == "HIGHESTMODSEQ":
			r.ModSeq = value
		}
		if err := r.take(reply.Values); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

func (r *Replica) take(v []Value) error {
	if len(v) > 1 && v[0].Text == "VANISHED" {
		if err := r.vanished(v[len(v)-1].Text); err != nil {
			return err
		}
	}
	if len(v) < 3 || v[1].Text != "FETCH" {
		return nil
	}
	var uid uint64
	var words []string
	for i, item := range v[2].List {
		switch item.Text {
		case "UID":
			uid, _ = strconv.ParseUint(v[2].List[i+1].Text, 10, 32)
		case "FLAGS":
			for _, f := range v[2].List[i+1].List {
				if f.Text != `\Recent` {
					words = append(words, f.Text)
				}
			}
		}
	}
	slices.Sort(words)
	r.Flags[uint32(uid)] = strings.Join(words, " ")
	return nil
}

// vanished forgets the UIDs of a set.
func (r *Replica) vanished(set string) error {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if err != nil || err2 != nil {
			return fmt.Errorf("VANISHED %q", set)
		}
		maps.DeleteFunc(r.Flags, func(uid uint32, _ string) bool { return from <= uint64(uid) && uint64(uid) <= to })
	}
	return nil
}
