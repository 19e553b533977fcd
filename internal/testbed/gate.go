package testbed

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Gate stands between a proxy and its server and keeps back one command of a user's clients, until it is told to let it
// pass. The proxy's other connections pass freely.
type Gate struct {
	target string
	all    bool
	listen net.Listener
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	kept map[string]*Kept // guarded by mu; by user
}

// OpenGate listens on a free port of loopback and forwards to target until Close. A connection is a client's if ID with
// x-session-id comes on it, as Dovecot takes it from proxies. To a server without ID all connections look the same: with all
// set, each is taken for a client's.
func OpenGate(target string, all bool) (*Gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("gate to %s: %w", target, err)
	}
	g := &Gate{target: target, all: all, listen: l, kept: map[string]*Kept{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.wg.Go(g.accept)
	return g, nil
}

// Addr returns the address that the proxy is given.
func (g *Gate) Addr() string { return g.listen.Addr().String() }

// Close ends all connections and waits until nothing of the gate runs.
func (g *Gate) Close() {
	g.cancel()
	_ = g.listen.Close()
	g.wg.Wait()
}

// Kept is the command of a user that is kept back.
type Kept struct {
	n       int
	reached chan struct{} // closed when the command has come
	pass    chan struct{}
	once    sync.Once

	mu   sync.Mutex
	seen []string // guarded by mu; names of the commands so far
}

// Keep keeps back the n-th command that user's clients send from now on, over all their sessions; 0 is the first login.
// A DONE that ends an IDLE counts as one. It replaces what was kept of the user before.
func (g *Gate) Keep(user string, n int) *Kept {
	k := &Kept{n: n, reached: make(chan struct{}), pass: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept[user] = k
	return k
}

// Reached is closed when the command has come and is kept.
func (k *Kept) Reached() <-chan struct{} { return k.reached }

// Pass lets the command pass, now or when it comes.
func (k *Kept) Pass() { k.once.Do(func() { close(k.pass) }) }

// Commands returns the names of all commands that have come, logins left out.
func (k *Kept) Commands() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.seen...)
}

// arrive notes a command and waits if it is the one to be kept.
func (k *Kept) arrive(ctx context.Context, name string, login bool) {
	k.mu.Lock()
	if !login {
		k.seen = append(k.seen, name)
	}
	here := len(k.seen) == k.n && !login == (k.n > 0)
	select {
	case <-k.reached:
		here = false // a second login
	default:
		if here {
			close(k.reached)
		}
	}
	k.mu.Unlock()
	if here {
		select {
		case <-k.pass:
		case <-ctx.Done():
		}
	}
}

func (g *Gate) accept() {
	for {
		conn, err := g.listen.Accept()
		if err != nil {
			return // closed
		}
		g.wg.Go(func() { g.serve(conn) })
	}
}

// serve forwards one connection.
func (g *Gate) serve(client net.Conn) {
	defer client.Close()
	target, err := (&net.Dialer{}).DialContext(g.ctx, "tcp", g.target)
	if err != nil {
		return
	}
	defer target.Close()
	stop := context.AfterFunc(g.ctx, func() { client.Close(); target.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(client, target)
		_ = client.(*net.TCPConn).CloseWrite()
	})
	wg.Go(func() {
		_ = g.up(target, bufio.NewReaderSize(client, 64<<10))
		_ = target.(*net.TCPConn).CloseWrite()
	})
	wg.Wait()
}

var announcesLiteral = regexp.MustCompile(`\{(\d+)\+?\}\r?\n$`)

// up forwards what the client says, command by command.
func (g *Gate) up(target io.Writer, r *bufio.Reader) error {
	session, user, inside := g.all, "", false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if !inside {
			session = session || strings.Contains(line, `"x-session-id"`)
			login := user == ""
			if login && session {
				user = whoLogsIn(line)
			}
			if k := g.of(user); k != nil {
				k.arrive(g.ctx, commandOf(line), login)
			}
		}
		if _, err := io.WriteString(target, line); err != nil {
			return err
		}
		m := announcesLiteral.FindStringSubmatch(line)
		if inside = m != nil; inside {
			size, _ := strconv.ParseInt(m[1], 10, 64)
			if _, err := io.CopyN(target, r, size); err != nil {
				return err
			}
		}
	}
}

func (g *Gate) of(user string) *Kept {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept[user]
}

// commandOf returns the name of a command, in upper case.
func commandOf(line string) string {
	words := strings.Fields(strings.ToUpper(line))
	switch {
	case len(words) == 1:
		return words[0] // DONE
	case len(words) > 2 && words[1] == "UID":
		return "UID " + words[2]
	case len(words) > 1:
		return words[1]
	}
	return ""
}

// whoLogsIn returns whose login the line is, or nothing if it is none.
func whoLogsIn(line string) string {
	words := strings.Fields(line)
	switch name := commandOf(line); {
	case name == "LOGIN" && len(words) > 2:
		return strings.Trim(words[2], `"`)
	case name == "AUTHENTICATE" && len(words) > 3:
		plain, _ := base64.StdEncoding.DecodeString(words[3])
		if parts := strings.Split(string(plain), "\x00"); len(parts) == 3 {
			return parts[1]
		}
	}
	return ""
}
