package migrate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// fake is an IMAP server in memory that a test makes misbehave. It holds one account, alice with password "pass", and
// knows what the engine sends and no more: no CONDSTORE, NAMESPACE or UNSELECT unless caps says so and
// the test answers for them.
type fake struct {
	name string
	ln   net.Listener
	wg   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	caps    string
	pass    map[string]bool
	folders map[string]*fakeFolder
	subs    map[string]bool
	first   uint32          // what next was at first
	next    uint32          // the next UIDVALIDITY
	heard   map[string]bool // the commands that came
	trouble *trouble
	// hook answers a command instead of the server: it returns what is to be said, with %t for the tag, and whether
	// it did. "BYE" cuts.
	hook func(verb, args string) (answer string, ok bool)
	// mangle changes what the server says to a command.
	mangle func(verb, answer string) string
	// onBody is told of each literal of an APPEND before it is read, and may answer; the connection is cut after that.
	onBody func(n int, size int64) (answer string, ok bool)
	keeps  func(flag string) bool // the flags that are kept; nil: all
	// refuses says with what words a message is refused by APPEND, and every other one of the same command; "" takes it.
	refuses func(m *fakeMail) string
	conns   map[net.Conn]bool
	asked   atomic.Int64 // literals that the client waited for
}

type fakeFolder struct {
	validity, next uint32
	mail           []*fakeMail
	modSeq         uint64            // of the last change
	gone           map[uint32]uint64 // expunged UIDs, and the mod-sequence of that
}

type fakeMail struct {
	uid    uint32
	flags  string
	date   string
	body   string
	modSeq uint64
}

const fakeDate = "07-Feb-2020 10:00:00 +0100"

func newFake(t *testing.T, name, caps string) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{name: name, ln: ln, caps: caps, pass: map[string]bool{"pass": true}, folders: map[string]*fakeFolder{},
		subs: map[string]bool{}, first: uint32(name[0]) * 1000, heard: map[string]bool{}, conns: map[net.Conn]bool{}}
	f.next = f.first
	f.create("INBOX")
	f.wg.Go(f.accept)
	t.Cleanup(func() {
		ln.Close()
		f.mu.Lock()
		for c := range f.conns {
			c.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

func (f *fake) backend(t *testing.T) *backend.Backend {
	t.Helper()
	cfg := backend.Defaults()
	cfg.URL, cfg.ForwardClient = "imap://"+f.ln.Addr().String(), "none"
	b, err := backend.New(f.name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// do changes the account under the lock.
func (f *fake) do(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) create(name string) *fakeFolder {
	f.next++
	f.folders[name] = &fakeFolder{validity: f.next, next: 1, modSeq: 1, gone: map[uint32]uint64{}}
	return f.folders[name]
}

// deliver puts mails with the given UIDs into a folder, which is made if need be.
func (f *fake) deliver(folder string, uids ...uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ff := f.folders[folder]
	if ff == nil {
		ff = f.create(folder)
	}
	for _, uid := range uids {
		ff.add(&fakeMail{uid: uid, flags: `\Seen`, date: fakeDate, body: fmt.Sprintf("Subject: %s %d\r\n\r\nbody %d\r\n", folder, uid, uid*uid)})
	}
}

// text is all that the account holds, in a form to compare.
func (f *fake) text(validity bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(f.folders)) {
		ff := f.folders[n]
		fmt.Fprintf(&b, "%q next %d", n, ff.next)
		if validity {
			fmt.Fprintf(&b, " validity %d", ff.validity)
		}
		b.WriteString("\n")
		for _, m := range ff.mail {
			fmt.Fprintf(&b, " %d (%s) %s %q\n", m.uid, m.flags, m.date, m.body)
		}
	}
	fmt.Fprintf(&b, "subscribed %q\n", slices.Sorted(maps.Keys(f.subs)))
	return b.String()
}

func (f *fake) accept() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[nc] = true
		f.mu.Unlock()
		f.wg.Go(func() {
			c := &fakeConn{f: f, nc: nc, r: bufio.NewReader(nc)}
			c.serve()
			nc.Close()
			f.mu.Lock()
			delete(f.conns, nc)
			f.mu.Unlock()
		})
	}
}

type fakeConn struct {
	f        *fake
	nc       net.Conn
	r        *bufio.Reader
	w        bytes.Buffer // what is said next
	selected string
	literals []string
	refused  bool // NO was said instead of what should have been
}

func (c *fakeConn) serve() {
	c.f.do(func() { fmt.Fprintf(&c.w, "* OK [CAPABILITY IMAP4rev1 UIDPLUS %s] %s ready\r\n", c.f.caps, c.f.name) })
	for ok := c.send("*"); ok; {
		var line string
		if line, ok = c.command(); line != "" {
			ok = c.answer(line)
		}
	}
}

// command reads one command; literals stand in it as {number}.
func (c *fakeConn) command() (string, bool) {
	c.literals, c.refused = nil, false
	var all string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "", false
		}
		lit, at, ok := wire.ParseLiteral([]byte(line))
		if !ok {
			return all + strings.TrimRight(line, "\r\n"), true
		}
		all += line[:at]
		if _, rest, _ := strings.Cut(all, " "); strings.HasPrefix(rest, "APPEND") && c.f.onBody != nil {
			if answer, ok := c.f.onBody(len(c.literals), lit.Size); ok {
				tag, _, _ := strings.Cut(all, " ")
				c.say(tag, answer)
				return "", false
			}
		}
		if lit.NonSync && !strings.Contains(c.f.caps, "LITERAL+") && !(strings.Contains(c.f.caps, "LITERAL-") && lit.Size <= 4096) {
			c.say("*", "* BYE a literal comes unasked\r\n")
			return "", false
		}
		if !lit.NonSync {
			c.f.asked.Add(1)
		}
		if tag, _, _ := strings.Cut(all, " "); !lit.NonSync && (!c.say(tag, "+ go on\r\n") || c.refused) {
			return "", c.refused
		}
		if c.f.trouble.strikes() != "" {
			return "", false
		}
		if lit.Size > 1<<30 { // more than any test sends
			_, _ = io.CopyN(io.Discard, c.r, lit.Size)
			return "", false
		}
		body := make([]byte, lit.Size)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return "", false
		}
		all += fmt.Sprintf("{%d}", len(c.literals))
		c.literals = append(c.literals, string(body))
	}
}

func (c *fakeConn) say(tag, answer string) bool {
	c.w.WriteString(strings.ReplaceAll(answer, "%t", tag))
	return c.send(tag)
}

// answer runs one command and reports whether the connection goes on.
func (c *fakeConn) answer(line string) bool {
	tag, rest, _ := strings.Cut(line, " ")
	verb, args, _ := strings.Cut(rest, " ")
	if verb == "UID" {
		var second string
		second, args, _ = strings.Cut(args, " ")
		verb += " " + second
	}
	f := c.f
	f.mu.Lock()
	f.heard[verb] = true
	hook := f.hook
	f.mu.Unlock()
	if hook != nil {
		if answer, ok := hook(verb, args); ok {
			return c.say(tag, answer) && !strings.Contains(answer, "* BYE")
		}
	}
	if kind := f.trouble.strikes(); kind != "" {
		return c.fail(kind, tag, nil)
	}
	f.mu.Lock()
	fmt.Fprintf(&c.w, "%s %s\r\n", tag, c.run(verb, args))
	mangle := f.mangle
	f.mu.Unlock()
	if mangle != nil {
		said := mangle(verb, c.w.String())
		c.w.Reset()
		c.w.WriteString(said)
	}
	return c.send(tag) && verb != "LOGOUT"
}

var (
	fakeAppend  = regexp.MustCompile(`\(([^)]*)\) "([^"]*)" \{(\d+)\}`)
	fakeStrings = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"|\{(\d+)\}|\S+`)
)

// name returns the n-th string among args.
func (c *fakeConn) name(args string, n int) string {
	all := fakeStrings.FindAllStringSubmatch(args, -1)
	if n >= len(all) {
		return ""
	}
	switch m := all[n]; {
	case m[2] != "":
		i, _ := strconv.Atoi(m[2])
		return c.literals[i]
	case strings.HasPrefix(m[0], `"`):
		return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[1])
	default:
		return m[0]
	}
}

func fakeName(s string) string {
	if wire.NeedsLiteral(s) {
		return fmt.Sprintf("{%d}\r\n%s", len(s), s)
	}
	return wire.Quoted(s)
}

func (c *fakeConn) run(verb, args string) string {
	f := c.f
	switch verb {
	case "LOGIN":
		if !f.pass[c.name(args, 1)] {
			return "NO [AUTHENTICATIONFAILED] wrong password"
		}
		return fmt.Sprintf("OK [CAPABILITY IMAP4rev1 UIDPLUS %s] in", f.caps)
	case "LIST", "LSUB":
		c.list(verb, args)
	case "CREATE":
		if f.folders[c.name(args, 0)] != nil {
			return "NO [ALREADYEXISTS] there is one"
		}
		f.create(c.name(args, 0))
	case "SUBSCRIBE":
		f.subs[c.name(args, 0)] = true
	case "UNSUBSCRIBE":
		delete(f.subs, c.name(args, 0))
	case "DELETE":
		if f.folders[c.name(args, 0)] == nil {
			return "NO [NONEXISTENT] no such folder"
		}
		delete(f.folders, c.name(args, 0))
	case "RENAME":
		f.rename(c.name(args, 0), c.name(args, 1))
		if c.name(args, 0) == "INBOX" {
			f.create("INBOX")
		}
	case "CLOSE", "UNSELECT":
		c.selected = ""
	case "ENABLE":
		fmt.Fprintf(&c.w, "* ENABLED %s\r\n", args)
	default:
		return c.runInFolder(verb, args)
	}
	return "OK done"
}

func (c *fakeConn) list(verb, args string) {
	if c.name(args, 1) == "" {
		c.w.WriteString("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return
	}
	var names []string
	if verb == "LSUB" {
		names = slices.Sorted(maps.Keys(c.f.subs))
	} else {
		names = slices.Sorted(maps.Keys(c.f.folders))
	}
	for _, n := range names {
		fmt.Fprintf(&c.w, "* %s () \"/\" %s\r\n", verb, fakeName(n))
		if strings.Contains(args, "RETURN (STATUS") { // LIST-STATUS
			c.f.folders[n].tell(c, n)
		}
	}
}
