package migrate

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// fake is an IMAP server in memory that a test makes misbehave. It holds one account, alice with password "pass", and
// knows what the engine sends and no more: no CONDSTORE, LIST-STATUS, NAMESPACE or UNSELECT unless caps says so and
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
	next    uint32 // the next UIDVALIDITY
	count   int    // commands so far
	cutAt   int    // the command at which the connection is cut, 0 for none
	effect  bool   // the command takes effect before the cut
	// hook answers a command instead of the server: it returns what is to be said, with %t for the tag, and whether
	// it did. "BYE" cuts.
	hook func(verb, args string) (answer string, ok bool)
	// onBody is told of each literal of an APPEND before it is read, and may answer; the connection is cut after that.
	onBody func(n int, size int64) (answer string, ok bool)
	conns  map[net.Conn]bool
}

type fakeFolder struct {
	validity, next uint32
	mail           []*fakeMail
}

type fakeMail struct {
	uid   uint32
	flags string
	date  string
	body  string
}

const fakeDate = "07-Feb-2020 10:00:00 +0100"

func newFake(t *testing.T, name, caps string) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{name: name, ln: ln, caps: caps, pass: map[string]bool{"pass": true}, folders: map[string]*fakeFolder{},
		subs: map[string]bool{}, next: uint32(name[0]) * 1000, conns: map[net.Conn]bool{}}
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
	f.folders[name] = &fakeFolder{validity: f.next, next: 1}
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
		ff.mail = append(ff.mail, &fakeMail{uid, `\Seen`, fakeDate, fmt.Sprintf("Subject: %s %d\r\n\r\nbody %d\r\n", folder, uid, uid*uid)})
		ff.next = max(ff.next, uid+1)
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
			c := &fakeConn{f: f, r: bufio.NewReader(nc), w: bufio.NewWriter(nc)}
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
	r        *bufio.Reader
	w        *bufio.Writer
	selected string
	literals []string
}

func (c *fakeConn) serve() {
	fmt.Fprintf(c.w, "* OK [CAPABILITY IMAP4rev1 UIDPLUS %s] %s ready\r\n", c.f.caps, c.f.name)
	for c.w.Flush() == nil {
		line, ok := c.command()
		if !ok || !c.answer(line) {
			c.w.Flush()
			return
		}
	}
}

// command reads one command; literals stand in it as {number}.
func (c *fakeConn) command() (string, bool) {
	c.literals = nil
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
		if !lit.NonSync {
			c.w.WriteString("+ go on\r\n")
			c.w.Flush()
		}
		body := make([]byte, lit.Size)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return "", false
		}
		all += fmt.Sprintf("{%d}", len(c.literals))
		c.literals = append(c.literals, string(body))
	}
}

func (c *fakeConn) say(tag, answer string) {
	c.w.WriteString(strings.ReplaceAll(answer, "%t", tag))
	c.w.Flush()
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
	hook := f.hook
	f.mu.Unlock()
	if hook != nil {
		if answer, ok := hook(verb, args); ok {
			c.say(tag, answer)
			return !strings.Contains(answer, "* BYE")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	cut := f.count == f.cutAt
	if cut && !f.effect {
		return false
	}
	fmt.Fprintf(c.w, "%s %s\r\n", tag, c.run(verb, args))
	if cut {
		c.w.Reset(io.Discard)
	}
	return !cut && verb != "LOGOUT"
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
		f.folders[c.name(args, 1)] = f.folders[c.name(args, 0)]
		delete(f.folders, c.name(args, 0))
		if c.name(args, 0) == "INBOX" {
			f.create("INBOX")
		}
	case "CLOSE":
		c.selected = ""
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
		fmt.Fprintf(c.w, "* %s () \"/\" %s\r\n", verb, fakeName(n))
	}
}
