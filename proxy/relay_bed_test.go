package proxy

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/wire"
)

// tcpPair returns both ends of a loopback connection: net.Pipe neither buffers nor half-closes.
func tcpPair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed := make(chan net.Conn, 1)
	go dialTo(l.Addr().String(), dialed)
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := <-dialed
	if c == nil {
		t.Fatalf("dial %s", l.Addr())
	}
	t.Cleanup(func() { c.Close(); accepted.Close() })
	return c.(*net.TCPConn), accepted.(*net.TCPConn)
}

func dialTo(addr string, out chan<- net.Conn) {
	c, _ := net.Dial("tcp", addr)
	out <- c
}

// relayBed is a relay between a client and a backend that the test plays.
type relayBed struct {
	client, backend net.Conn // the test's ends
	r               *relay
	ended           chan relayStats
}

func newRelayBed(t testing.TB, cfg relayConfig, wrap func(client, back net.Conn) (net.Conn, net.Conn)) *relayBed {
	client, nearClient := tcpPair(t)
	back, nearBack := tcpPair(t)
	var c, b net.Conn = nearClient, nearBack
	if wrap != nil {
		c, b = wrap(c, b)
	}
	if cfg.Views == nil { // as on the source
		cfg.Touched = newTouches().by("alice")
		if cfg.Life == nil {
			cfg.Life = newLife(time.Hour)
			cfg.Life.renew(cfg.Life.sign())
		}
	}
	bed := &relayBed{client: client, backend: back, ended: make(chan relayStats, 1)}
	bed.r = newRelay(end{c, wire.NewReader(c, 0)}, end{b, wire.NewReader(b, 0)}, cfg)
	go bed.run()
	t.Cleanup(func() { client.Close(); back.Close() })
	return bed
}

func (b *relayBed) run() { b.ended <- b.r.run(context.Background()) }

// imapServer plays a server that answers each command in turn by what stands in it, so that two runs of a session can
// be compared.
type imapServer struct {
	conn     net.Conn
	rng      *rand.Rand   // how its writes are cut; nil: whole
	slow     bool         // takes a second before it says anything; for a false clock only
	saying   func(string) // if set, told before anything is said
	plain    bool         // has no LITERAL+: answers BAD to {n+} and takes what follows for a command
	mu       sync.Mutex
	got      bytes.Buffer
	commands []string
	lines    []string // the first one of each
}

func (s *imapServer) run() {
	defer s.conn.Close()
	r := wire.NewReader(io.TeeReader(s.conn, s), 0)
	for s.command(r) {
	}
}

// Write implements io.Writer: it keeps what has come.
func (s *imapServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

func (s *imapServer) say(text string) {
	if s.slow {
		time.Sleep(time.Second)
	}
	if s.saying != nil {
		s.saying("answer " + text)
	}
	cutWrite(s.conn, []byte(text), s.rng)
}

// cutWrite writes p in random pieces.
func cutWrite(conn net.Conn, p []byte, rng *rand.Rand) {
	for len(p) > 0 {
		n := len(p)
		if rng != nil {
			n = 1 + rng.IntN(min(n, 1+rng.IntN(40000)))
		}
		if _, err := conn.Write(p[:n]); err != nil {
			return
		}
		p = p[n:]
	}
}

func (s *imapServer) command(r *wire.Reader) bool {
	line, err := r.Line(1 << 20)
	if err != nil {
		return false
	}
	tag, rest := wire.Tag(line)
	word, _ := wire.Tag(rest)
	t, name := string(tag), strings.ToUpper(string(word))
	s.mu.Lock()
	s.commands = append(s.commands, name)
	s.lines = append(s.lines, string(line))
	s.mu.Unlock()
	all := fnv.New64()
	for {
		all.Write(line)
		lit, _, ok := wire.ParseLiteral(line)
		if !ok {
			break
		}
		switch {
		case lit.NonSync && s.plain:
			s.say(t + " BAD no such literal\r\n")
			return true
		case name == "REFUSE" && !lit.NonSync:
			s.say(t + " NO [LIMIT] not this literal {7}\r\n")
			return true
		case name == "EARLY":
			s.say(t + " NO decided before the literal\r\n")
		case !lit.NonSync:
			s.say("+ go ahead\r\n")
		}
		if _, err := io.Copy(all, r.Literal(lit.Size)); err != nil {
			return false
		}
		if line, err = r.Line(1 << 20); err != nil {
			return false
		}
	}
	return s.answer(r, t, name, all.Sum64())
}

func (s *imapServer) answer(r *wire.Reader, tag, name string, seed uint64) bool {
	rng := rand.New(rand.NewPCG(seed, 1))
	switch name {
	case "IDLE":
		s.say("+ idling\r\n* 4 EXISTS\r\n")
		if _, err := r.Line(1 << 20); err != nil {
			return false
		}
	case "EARLY":
		return true
	case "NOIDLE":
		s.say(tag + " NO not now\r\n")
		return true
	case "FETCH":
		for i := range 1 + rng.IntN(5) {
			body := make([]byte, rng.IntN(1<<uint(rng.IntN(17))))
			for j := range body {
				body[j] = "ab\r\n{5}* OK+"[rng.IntN(12)]
			}
			s.say(fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s BODY[1] ~{3}\r\n{3} FLAGS ())\r\n", i+1, i+1, len(body), body))
		}
	case "SEARCH":
		s.say("* SEARCH" + strings.Repeat(" 123456", rng.IntN(8000)) + "\r\n")
	case "LOGOUT":
		s.say("* BYE bye {3}\r\n" + tag + " OK done\r\n")
		return false
	}
	s.say(tag + " OK " + name + " done {5}\r\n")
	return true
}

func (s *imapServer) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.String()
}

// script is a session as a client plays it: pieces of text, and before some of them a wait for a word of the server.
type script []step

type step struct {
	await string // "+", or a tag whose completion must have come
	send  string
}

// play sends the script over conn and returns all that came back until the connection ended.
func (sc script) play(t testing.TB, conn net.Conn, rng *rand.Rand) string {
	t.Helper()
	var got bytes.Buffer
	heard := make(chan string, 10000)
	go hear(io.TeeReader(conn, &got), heard)
	for _, st := range sc {
		for st.await != "" {
			word, ok := <-heard
			if !ok {
				t.Fatalf("connection ended before %q; heard %q", st.await, got.String())
			}
			if word == st.await {
				break
			}
		}
		cutWrite(conn, []byte(st.send), rng)
	}
	for range heard {
	}
	return got.String()
}

// hear tells the first word of every response.
func hear(conn io.Reader, heard chan<- string) {
	defer close(heard)
	r := wire.NewReader(conn, 0)
	for {
		line, err := r.Line(1 << 20)
		if err != nil {
			return
		}
		tag, rest := wire.Tag(line)
		word := string(tag)
		for word == "*" && firstWord(rest) == "" { // FETCH
			lit, _, ok := wire.ParseLiteral(line)
			if !ok {
				break
			}
			if _, err := io.Copy(io.Discard, r.Literal(lit.Size)); err != nil {
				return
			}
			if line, err = r.Line(1 << 20); err != nil {
				return
			}
		}
		heard <- word
	}
}

// randomScript makes a legal session. With plus it may hold non-synchronizing literals, with asks synchronizing ones.
func randomScript(rng *rand.Rand, n int, plus, asks bool) script {
	var sc script
	tag := ""
	for i := range n {
		tag = fmt.Sprintf("t%d", i%90) // tags come again
		switch k := rng.IntN(9); {
		case k == 0 && plus:
			body := strings.Repeat("x {9+}\r\n", rng.IntN(4000))
			sc = append(sc, step{send: fmt.Sprintf("%s APPEND box (\\Seen) {%d+}\r\n%s {2+}\r\nxy\r\n", tag, len(body), body)})
		case k == 1 && asks:
			body := strings.Repeat("y IDLE\r\n", rng.IntN(4000))
			sc = append(sc, step{send: fmt.Sprintf("%s append box {%d}\r\n", tag, len(body))}, step{"+", body + "\r\n"})
		case k == 2 && asks:
			sc = append(sc, step{send: tag + " REFUSE box {10}\r\n"}, step{await: tag})
		case k == 3 && asks:
			sc = append(sc, step{send: tag + " idle\r\n"}, step{"+", "DONE\r\n"}, step{await: tag})
		case k == 4:
			sc = append(sc, step{send: tag + " IDLE\r\nDONE\r\n"})
			if asks {
				sc = append(sc, step{await: tag})
			}
		case k == 5:
			sc = append(sc, step{send: tag + " SEARCH UID " + strings.Repeat("1,", rng.IntN(20000)) + "3\r\n"})
		case k == 6:
			sc = append(sc, step{send: tag + " FETCH 1:* (BODY[])\r\n"})
		default:
			sc = append(sc, step{send: fmt.Sprintf("%s STORE %d +FLAGS (x{5})\r\n", tag, i)})
		}
	}
	return append(sc, step{send: "bye LOGOUT\r\n"})
}
