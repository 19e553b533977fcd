package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"imapferry/internal/wire"
)

// saying is a connection whose far end has said all that it will say and takes whatever comes.
type saying struct{ net.Conn }

func (saying) Write(p []byte) (int, error) { return len(p), nil }

// callerOf speaks to a server that says text.
func callerOf(text string) *caller {
	return &caller{conn: saying{}, d: wire.NewDecoder(wire.NewReader(strings.NewReader(text), 0), callLimits)}
}

// heardMail is a message as a client knows it; the UID is 0 of one that it has only heard the number of.
type heardMail struct {
	uid   uint32
	flags string
}

// modelMail is what the randomized check plays with: a mailbox, and what a client knows of it.
type modelMail struct {
	rng    *rand.Rand
	client []heardMail // in the client's order
	now    []heardMail // at the source
	next   uint32
	said   strings.Builder

	removed bool // something at the source whose UID it did not tell: what the target has there instead passes for it
}

func (m *modelMail) flags() string { return []string{"", `\Seen`, `\Seen x`, "y"}[m.rng.IntN(4)] }

func (m *modelMail) add(list []heardMail) []heardMail {
	m.next += 1 + uint32(m.rng.IntN(3))
	return append(list, heardMail{m.next, m.flags()})
}

// happen changes the source and tells of it, as a server does in NOOP.
func (m *modelMail) happen(byUID bool) {
	at := 0
	if len(m.now) > 0 {
		at = m.rng.IntN(len(m.now))
	}
	switch k := m.rng.IntN(3); {
	case k == 0 && !byUID: // VANISHED is not followed behind EXISTS
		m.now = m.add(m.now)
		fmt.Fprintf(&m.said, "* %d EXISTS\r\n", len(m.now))
	case len(m.now) == 0:
	case k == 1 && byUID:
		fmt.Fprintf(&m.said, "* VANISHED %d\r\n", m.now[at].uid)
		m.now = slices.Delete(m.now, at, at+1)
	case k == 1:
		fmt.Fprintf(&m.said, "* %d EXPUNGE\r\n", at+1)
		m.now = slices.Delete(m.now, at, at+1)
		m.removed = true
	default:
		m.now[at].flags = m.flags()
		uid := ""
		if byUID || m.rng.IntN(2) == 0 {
			uid = fmt.Sprintf("UID %d ", m.now[at].uid)
		}
		fmt.Fprintf(&m.said, "* %d FETCH (%sFLAGS (%s))\r\n", at+1, uid, m.now[at].flags)
	}
}

func listing(list []heardMail) string {
	var b strings.Builder
	for i, m := range list {
		fmt.Fprintf(&b, "* %d FETCH (FLAGS (%s) UID %d)\r\n", i+1, m.flags, m.uid)
	}
	return b.String()
}

// hears plays the client: it applies what it is told, and complains where it does not fit what it knows.
func hears(client []heardMail, lines string) ([]heardMail, error) {
	for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		var n int
		var set string
		var uid uint32
		switch {
		case line == "":
		case scans(line, "* %d EXISTS", &n):
			if n <= len(client) {
				return nil, fmt.Errorf("%q to a client of %d messages", line, len(client))
			}
			for len(client) < n {
				client = append(client, heardMail{})
			}
		case scans(line, "* VANISHED %s", &set):
			gone, err := wire.ParseSet(set)
			if err != nil {
				return nil, err
			}
			was := len(client)
			client = slices.DeleteFunc(client, func(m heardMail) bool { return gone.Contains(m.uid) })
			if was-len(client) != int(gone.Len()) {
				return nil, fmt.Errorf("%q removes messages that there are not", line)
			}
		case scans(line, "* %d FETCH (UID %d ", &n, &uid):
			if n < 1 || n > len(client) || client[n-1].uid != uid && client[n-1].uid != 0 {
				return nil, fmt.Errorf("%q to a client that knows %v", line, client)
			}
			_, flags, _ := strings.Cut(line, "FLAGS (")
			client[n-1] = heardMail{uid, strings.TrimSuffix(flags, "))")}
		case scans(line, "* %d EXPUNGE", &n):
			if n < 1 || n > len(client) {
				return nil, fmt.Errorf("%q to a client of %d messages", line, len(client))
			}
			client = slices.Delete(client, n-1, n)
		default:
			return nil, fmt.Errorf("%q was not expected", line)
		}
	}
	return client, nil
}

func scans(line, format string, args ...any) bool {
	n, _ := fmt.Sscanf(line, format, args...)
	if n != len(args) {
		return false
	}
	word := strings.Fields(format)
	return strings.Contains(line, word[min(2, len(word)-1)]) || strings.HasPrefix(format, "* VANISHED")
}

// TestBecame defends I2 against a model: whatever the source has still to tell and the target has become, a client
// that applies what it is told knows the target's messages and flags, or the session is not moved because a message
// stands where IMAP cannot tell of one.
func TestBecame(t *testing.T) {
	told, refused := 0, 0
	for seed := range uint64(20000) {
		m := &modelMail{rng: rand.New(rand.NewPCG(seed, 5))}
		for range m.rng.IntN(7) {
			m.client = m.add(m.client)
		}
		m.now = slices.Clone(m.client)
		byUID := m.rng.IntN(3) == 0
		for range m.rng.IntN(7) {
			m.happen(byUID)
		}
		target, foreign := m.becomes()

		p := place{selected: true, exists: len(m.client), mailbox: "x"}
		if byUID {
			p.enabled = []string{"QRESYNC"}
		}
		source := m.said.String() + "imapferry1 OK told\r\n" + listing(m.now) + "imapferry2 OK listed\r\n"
		before, err := callerOf(source).viewAtSource(&p)
		if err != nil {
			t.Fatalf("seed %d: %v; the source said\n%s", seed, err, source)
		}
		there := fmt.Sprintf("* %d EXISTS\r\nimapferry1 OK selected\r\n%simapferry2 OK listed\r\n", len(target), listing(target))
		at, err := callerOf(there).viewAtTarget(&p)
		if err != nil {
			t.Fatalf("seed %d: %v; the target said\n%s", seed, err, there)
		}
		rest, err := before.became(at, p)
		if err != nil {
			if !foreign {
				t.Fatalf("seed %d: %v; client %v, source\n%s\ntarget %v", seed, err, m.client, source, target)
			}
			refused++
			continue
		}
		got, err := hears(slices.Clone(m.client), string(rest.news)+string(rest.lines))
		if err == nil && len(got) != len(target) {
			err = errors.New("another number of messages")
		}
		for i := 0; err == nil && i < len(got); i++ {
			if got[i] != target[i] && got[i].uid != 0 {
				err = fmt.Errorf("message %d is another one", i+1)
			}
		}
		if err != nil {
			t.Fatalf("seed %d: %v; client %v, source\n%s\ntarget %v\ntold\n%s%s", seed, err, m.client, source, target, rest.news, rest.lines)
		}
		told++
	}
	if told < 10000 || refused < 300 {
		t.Errorf("%d views were told and %d refused", told, refused)
	}
}

// becomes makes the target: the source's mail, or what the client knows, with changes of its own. foreign says that the client
// may not know of a message between two that it knows.
func (m *modelMail) becomes() (target []heardMail, foreign bool) {
	target = slices.Clone(m.now)
	if m.rng.IntN(8) == 0 {
		target = slices.Clone(m.client) // what the source has removed is still there
		for i := range target {
			target[i].flags = m.flags()
		}
		return target, false
	}
	for range m.rng.IntN(4) {
		switch k := m.rng.IntN(8); {
		case k < 2:
			target = m.add(target)
		case len(target) == 0:
		case k < 4:
			at := m.rng.IntN(len(target))
			target = slices.Delete(target, at, at+1)
		case k < 7:
			target[m.rng.IntN(len(target))].flags = m.flags()
		default:
			at := m.rng.IntN(len(target))
			if uid := target[at].uid - 1; uid > 0 && !m.removed && (at == 0 || target[at-1].uid < uid) && !slices.ContainsFunc(m.client, func(k heardMail) bool { return k.uid == uid }) {
				target = slices.Insert(target, at, heardMail{uid, "z"})
				foreign = true
			}
		}
	}
	return target, foreign
}

// TestViewRefused is servers that say what no view can be made of: the session is not moved, and nothing is believed.
func TestViewRefused(t *testing.T) {
	const listed = "* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 6 FLAGS ())\r\n* 3 FETCH (UID 9 FLAGS ())\r\nimapferry2 OK listed\r\n"
	for _, c := range []struct{ name, said, rest string }{
		{"expunge beyond the end", "* 4 EXPUNGE\r\n", listed},
		{"expunge of none", "* 0 EXPUNGE\r\n", listed},
		{"removed and still there", "* VANISHED 6\r\n* 4 EXISTS\r\n", strings.Replace(listed, "imapferry2", "* 4 FETCH (UID 10 FLAGS ())\r\nimapferry2", 1)},
		{"vanished more than there are", "* VANISHED 1:4294967295\r\n", listed},
		{"vanished behind exists", "* 4 EXISTS\r\n* VANISHED 10\r\n", listed},
		{"vanished is no set", "* VANISHED x\r\n", listed},
		{"vanished beside numbers", "* 1 FETCH (FLAGS (x))\r\n* VANISHED 10\r\n* 3 EXISTS\r\n", listed},
		{"too many messages", "* 4294967295 EXISTS\r\n", listed},
		{"uids that do not rise", "", strings.Replace(listed, "UID 9", "UID 5", 1)},
		{"uid 0", "", strings.Replace(listed, "UID 4", "UID 0", 1)},
		{"removal inside the listing", "", strings.Replace(listed, "imapferry2", "* 3 EXPUNGE\r\nimapferry2", 1)},
		{"number too large", "", strings.Replace(listed, "UID 9", "UID 4294967296", 1)},
		{"bye", "", "* BYE going\r\n"},
		{"another tag", "", "imapferry3 OK listed\r\n"},
		{"a line too long", "", "* OK " + strings.Repeat("x", maxGather) + "\r\n"},
		{"the end", "", "* 1 FETCH (UID 4 FL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := place{selected: true, exists: 3}
			v, err := callerOf(c.said + "imapferry1 OK told\r\n" + c.rest).viewAtSource(&p)
			if err == nil {
				t.Errorf("view %+v", v.messages)
			}
		})
	}
}

// TestViewBounds defends I9: a server that goes on and on is not listened to for ever.
func TestViewBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("says some hundred MB")
	}
	for name, line := range map[string]func(i int) string{
		"removals":     func(int) string { return "* 1 EXPUNGE\r\n" },
		"flags by uid": func(i int) string { return fmt.Sprintf("* 1 FETCH (UID %d FLAGS ())\r\n", i+1) },
		"flags":        func(i int) string { return "* 1 FETCH (FLAGS ())\r\n" },
		"sets of flags": func(i int) string {
			return fmt.Sprintf("* 1 FETCH (UID 1 FLAGS (x%d%s))\r\n", i, strings.Repeat("x", 1000))
		},
		"ranges": func(i int) string { return fmt.Sprintf("* VANISHED %d\r\n", 2*i+1) },
	} {
		t.Run(name, func(t *testing.T) {
			lines, rest := 0, ""
			p := place{selected: true, exists: maxView}
			c := callerOf("")
			c.d = wire.NewDecoder(wire.NewReader(readerFunc(func(b []byte) (n int, err error) {
				for n < len(b) {
					if rest == "" {
						rest = line(lines)
						lines++
					}
					k := copy(b[n:], rest)
					n, rest = n+k, rest[k:]
				}
				return n, nil
			}), 0), callLimits)
			var u *unmoved
			if _, err := c.viewAtSource(&p); !errors.As(err, &u) || u.reason != atView {
				t.Errorf("after %d lines: %v", lines, err)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestRanks compares with a list.
func TestRanks(t *testing.T) {
	for n := range 40 {
		rng := rand.New(rand.NewPCG(uint64(n), 6))
		r := newRanks(n)
		var left []int
		for i := range n {
			left = append(left, i)
		}
		for len(left) > 0 {
			for k := -1; k < n+3; k++ {
				at, ok := r.find(k)
				if want := k >= 1 && k <= len(left); ok != want || ok && at != left[k-1] {
					t.Fatalf("of %d left %v: find(%d) = %d, %v", n, left, k, at, ok)
				}
			}
			k := rng.IntN(len(left))
			r.remove(left[k])
			left = slices.Delete(left, k, k+1)
		}
		if _, ok := r.find(1); ok {
			t.Errorf("of %d none is left, and one is found", n)
		}
	}
}

// FuzzRelayView lets both servers of a move say anything when they are asked for a view.
func FuzzRelayView(f *testing.F) {
	f.Add([]byte("* 2 EXPUNGE\r\n* 3 EXISTS\r\nimapferry1 OK x\r\n* 1 FETCH (UID 4 FLAGS (\\Seen))\r\nimapferry2 NO x\r\n* 1 FETCH (FLAGS (x))\r\nimapferry3 OK x\r\n"+
		"* 1 FETCH (UID 4 FLAGS (a B) MODSEQ (7))\r\n* 2 FETCH (UID 5 BODY[] {3}\r\n)\r\n FLAGS ())\r\n* 3 FETCH (UID 6 FLAGS ())\r\nimapferry4 OK x\r\n"), uint32(3), true)
	f.Add([]byte("* VANISHED 6,8:9\r\nimapferry1 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nimapferry2 OK x\r\n"), uint32(4), false)
	f.Add([]byte("* FLAGS (x)\r\n* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [PERMANENTFLAGS (\\*)] x\r\nimapferry1 OK x\r\n* BYE x\r\n"), uint32(4294967295), false)
	f.Fuzz(func(t *testing.T, said []byte, exists uint32, mods bool) {
		p := place{selected: true, exists: int(exists), mods: mods, mailbox: "x"}
		before, err := callerOf(string(said)).viewAtSource(&p)
		at, err2 := callerOf(string(said)).viewAtTarget(&p)
		if err == nil && len(before.messages) != int(exists) {
			t.Errorf("the client's view has %d messages of %d", len(before.messages), exists)
		}
		if errors.Join(err, err2) != nil {
			return
		}
		if rest, err := before.became(at, p); err == nil {
			d := wire.NewDecoder(wire.NewReader(bytes.NewReader(append(rest.news, rest.lines...)), 0), wire.Limits{Line: 64 << 20, Literal: 1, Total: 64 << 20})
			for err = d.Next(); err == nil; err = d.Next() {
				if d.Atom() != "*" {
					t.Errorf("the client is told %q", append(rest.news, rest.lines...))
				}
			}
			if err != io.EOF {
				t.Errorf("the client is told %q: %v", append(rest.news, rest.lines...), err)
			}
		}
	})
}
