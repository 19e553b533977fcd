package proxy

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"imapferry/internal/wire"
)

// mailStore is the mailboxes of one user at one server.
type mailStore struct {
	mu    sync.Mutex
	boxes map[string]*mailbox
}

type mailbox struct {
	validity, next uint32
	mail           []mail
}

type mail struct {
	uid   uint32
	flags []string
	body  string
}

// newMailStore has a mailbox of three messages, and one of one.
func newMailStore() *mailStore {
	work := &mailbox{validity: 7, next: 10, mail: []mail{{4, nil, "first"}, {6, []string{`\Seen`}, "second {3}"}, {9, nil, "third\r\n* OK"}}}
	return &mailStore{boxes: map[string]*mailbox{"Work": work, "Other": {validity: 8, next: 2, mail: []mail{{1, []string{"y"}, "other"}}}}}
}

// copyOf is what a migration makes of from.
func copyOf(from *mailStore) *mailStore {
	from.mu.Lock()
	defer from.mu.Unlock()
	to := &mailStore{boxes: map[string]*mailbox{}}
	for name, b := range from.boxes {
		to.boxes[name] = &mailbox{b.validity, b.next, slices.Clone(b.mail)}
	}
	return to
}

func (s *mailStore) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.boxes)) {
		fmt.Fprintln(&all, name, *s.boxes[name])
	}
	return all.String()
}

// mailServer plays a server with mailboxes to one session. All that it says follows from them and from what the
// session has asked for, so that two servers with the same mail say the same.
type mailServer struct {
	conn   net.Conn
	slow   bool         // takes a second before it says anything; for a false clock only
	saying func(string) // if set, told before anything is said

	mu    sync.Mutex
	store *mailStore // guarded by mu
	got   bytes.Buffer
	names []string // of commands, as the relay must have seen them

	box      *mailbox
	readOnly bool
	saved    []uint32
}

func (s *mailServer) run() {
	defer s.conn.Close()
	r := wire.NewReader(io.TeeReader(s.conn, s), 0)
	for s.command(r) {
	}
}

// Write implements io.Writer: it keeps what has come.
func (s *mailServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func (s *mailServer) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// obeyed reports whether the server was sent the command name.
func (s *mailServer) obeyed(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.names, name)
}

// mail returns the store under its lock.
func (s *mailServer) mail() (*mailStore, func()) {
	s.mu.Lock()
	st := s.store
	s.mu.Unlock()
	st.mu.Lock()
	return st, st.mu.Unlock
}

func (s *mailServer) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.slow {
		time.Sleep(time.Second)
	}
	if s.saying != nil {
		s.saying(text)
	}
	_, _ = io.WriteString(s.conn, text)
}

// command obeys one command: words are what stands between spaces and parentheses, and literals.
func (s *mailServer) command(r *wire.Reader) bool {
	var words []string
	for {
		line, err := r.Line(1 << 20)
		if err != nil {
			return false
		}
		if words == nil {
			_, rest := wire.Tag(line)
			name, _ := wire.Tag(rest)
			s.mu.Lock()
			s.names = append(s.names, strings.ToUpper(string(name)))
			s.mu.Unlock()
		}
		lit, start, ok := wire.ParseLiteral(line)
		if !ok {
			start = len(line)
		}
		words = append(words, strings.FieldsFunc(string(line[:start]), func(r rune) bool { return strings.ContainsRune(" ()\r\n", r) })...)
		if !ok {
			break
		}
		if !lit.NonSync {
			s.say("+ go ahead\r\n")
		}
		if lit.Size > 1<<20 {
			return false
		}
		body := make([]byte, lit.Size)
		if _, err := io.ReadFull(r.Literal(lit.Size), body); err != nil && lit.Size > 0 {
			return false
		}
		words = append(words, string(body))
	}
	if len(words) < 2 {
		s.say("* BAD what\r\n")
		return true
	}
	name, args, byUID := strings.ToUpper(words[1]), words[2:], false
	if name == "UID" && len(args) > 0 {
		name, args, byUID = strings.ToUpper(args[0]), args[1:], true
	}
	answer := "OK " + name + " done"
	switch {
	case name == "IDLE" && len(args) == 0:
		s.say("+ idling\r\n")
		if _, err := r.Line(1 << 20); err != nil {
			return false
		}
	case name == "LOGOUT":
		s.say("* BYE bye\r\n")
	default:
		answer = s.obey(name, args, byUID)
	}
	s.say("%s %s\r\n", words[0], answer)
	return name != "LOGOUT"
}

// obey returns the end of the answer, without its tag.
func (s *mailServer) obey(name string, args []string, byUID bool) string {
	ok := "OK " + name + " done"
	if needs := map[string]int{"SELECT": 1, "EXAMINE": 1, "APPEND": 2}; len(args) < needs[name] {
		return "BAD too few words"
	}
	switch name {
	case "NOOP", "LIST":
		return ok
	case "ENABLE":
		s.say("* ENABLED %s\r\n", strings.Join(args, " "))
		return ok
	case "SELECT", "EXAMINE":
		return s.open(strings.Trim(args[0], `"`), name == "EXAMINE")
	case "APPEND":
		return s.append(args)
	}
	if s.box == nil {
		return "BAD no mailbox, or no such command"
	}
	if needs := map[string]int{"FETCH": 1, "STORE": 2, "SEARCH": 1}; len(args) < needs[name] {
		return "BAD too few words"
	}
	switch name {
	case "UNSELECT":
		s.box = nil
	case "CLOSE", "EXPUNGE":
		s.expunge(name == "EXPUNGE")
		if name == "CLOSE" {
			s.box = nil
		}
	case "FETCH":
		s.fetch(args, byUID)
	case "STORE":
		s.flag(args, byUID)
	case "SEARCH":
		s.search(args)
	default:
		return "BAD no such command"
	}
	return ok
}

func (s *mailServer) open(name string, readOnly bool) string {
	st, unlock := s.mail()
	s.box, s.readOnly, s.saved = st.boxes[name], readOnly, nil
	unlock()
	if s.box == nil {
		return "NO no such mailbox"
	}
	s.say("* FLAGS (\\Seen \\Deleted x)\r\n* %d EXISTS\r\n", len(s.box.mail))
	s.say("* OK [PERMANENTFLAGS (\\Seen)] kept\r\n* OK [UIDVALIDITY %d] valid\r\n", s.box.validity)
	if readOnly {
		return "OK [READ-ONLY] done"
	}
	return "OK [READ-WRITE] done"
}

func (s *mailServer) append(args []string) string {
	st, unlock := s.mail()
	box := st.boxes[args[0]]
	if box == nil {
		unlock()
		return "NO [TRYCREATE] no such mailbox"
	}
	uid := box.next
	box.next++
	box.mail = append(box.mail, mail{uid, slices.Clone(args[1 : len(args)-1]), args[len(args)-1]})
	n := len(box.mail)
	unlock()
	if box == s.box {
		s.say("* %d EXISTS\r\n", n)
	}
	return fmt.Sprintf("OK [APPENDUID %d %d] done", box.validity, uid)
}

func (s *mailServer) expunge(tell bool) {
	_, unlock := s.mail()
	var said strings.Builder
	for i := 0; i < len(s.box.mail) && !s.readOnly; i++ {
		if slices.Contains(s.box.mail[i].flags, `\Deleted`) {
			s.box.mail = slices.Delete(s.box.mail, i, i+1)
			i--
			fmt.Fprintf(&said, "* %d EXPUNGE\r\n", i+2)
		}
	}
	unlock()
	if tell && said.Len() > 0 {
		s.say("%s", said.String())
	}
}

// each calls do with each message of a set, with its sequence number.
func (s *mailServer) each(set string, byUID bool, do func(seq int, m *mail)) {
	_, unlock := s.mail()
	defer unlock()
	parsed, err := wire.ParseSet(strings.Replace(set, "*", "4294967295", 1))
	for i := range s.box.mail {
		m := &s.box.mail[i]
		switch {
		case set == "$" && slices.Contains(s.saved, m.uid), err == nil && byUID && parsed.Contains(m.uid), err == nil && !byUID && parsed.Contains(uint32(i+1)):
			do(i+1, m)
		}
	}
}

func (s *mailServer) fetch(args []string, byUID bool) {
	var said strings.Builder
	s.each(args[0], byUID, func(seq int, m *mail) {
		fmt.Fprintf(&said, "* %d FETCH (UID %d", seq, m.uid)
		for _, item := range args[1:] {
			if item == "BODY[]" && !s.readOnly && !slices.Contains(m.flags, `\Seen`) {
				m.flags = append(slices.Clone(m.flags), `\Seen`)
			}
			if strings.HasPrefix(item, "BODY") {
				fmt.Fprintf(&said, " BODY[] {%d}\r\n%s", len(m.body), m.body)
			}
		}
		fmt.Fprintf(&said, " FLAGS (%s))\r\n", strings.Join(m.flags, " "))
	})
	for line := range strings.SplitAfterSeq(said.String(), ")\r\n") {
		if line != "" {
			s.say("%s", line)
		}
	}
}

// flag adds flags to messages.
func (s *mailServer) flag(args []string, byUID bool) {
	var said strings.Builder
	s.each(args[0], byUID, func(seq int, m *mail) {
		for _, f := range args[2:] {
			if !slices.Contains(m.flags, f) && !s.readOnly {
				m.flags = append(slices.Clone(m.flags), f)
			}
		}
		fmt.Fprintf(&said, "* %d FETCH (UID %d FLAGS (%s))\r\n", seq, m.uid, strings.Join(m.flags, " "))
	})
	if said.Len() > 0 {
		s.say("%s", said.String())
	}
}

// search knows SEEN, "UID set", "NOT ALL", and $.
func (s *mailServer) search(args []string) {
	var found []uint32
	last := args[len(args)-1]
	set := "1:*"
	switch {
	case last == "$" || len(args) > 1 && args[len(args)-2] == "UID":
		set = last
	case len(args) > 1 && args[len(args)-2] == "NOT":
		set = "0"
	}
	s.each(set, true, func(_ int, m *mail) {
		if last != "SEEN" || slices.Contains(m.flags, `\Seen`) {
			found = append(found, m.uid)
		}
	})
	if slices.Contains(args, "SAVE") {
		s.saved = found
		return
	}
	said := "* ESEARCH UID"
	for i, uid := range found {
		said += []string{" ALL ", ","}[min(i, 1)] + strconv.Itoa(int(uid))
	}
	s.say("%s\r\n", said)
}
