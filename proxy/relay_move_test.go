package proxy

import (
	"context"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// moveBed is a relay between a client and a source that the test plays, with a target to move to.
type moveBed struct {
	relayBed
	source, target *mailServer
	acknowledged   atomic.Bool            // nothing may be written at the source any more
	broken         atomic.Pointer[string] // what was
	told           chan string
}

// ours are the lines that the relay may still send to the source after the acknowledgement.
var ours = regexp.MustCompile(`^(?:DONE\r\n|imapferry\d+ (?:NOOP|FETCH 1:\* \(UID FLAGS\)|UID SEARCH RETURN \(ALL\) \$|LOGOUT)\r\n)$`)

// watchedConn is the relay's way to the source.
type watchedConn struct {
	net.Conn
	b *moveBed
}

func (c *watchedConn) Write(p []byte) (int, error) {
	if what := string(p); c.b.acknowledged.Load() && !ours.MatchString(what) {
		c.b.broken.Store(&what)
	}
	return c.Conn.Write(p)
}

// newMoveBed joins a client to a source by connections that pair makes for the client, the source and the target.
func newMoveBed(slow bool, cfg relayConfig, pair func(who byte) (far, near net.Conn)) *moveBed {
	client, nearClient := pair('C')
	back, nearBack := pair('B')
	far, nearTarget := pair('D')
	b := &moveBed{relayBed: relayBed{client: client, backend: back, ended: make(chan relayStats, 1)}, told: make(chan string, 1)}
	b.source = &mailServer{conn: back, slow: slow, store: newMailStore()}
	b.target = &mailServer{conn: far, slow: slow}
	cfg.Log = slog.New(slog.DiscardHandler)
	cfg.LiteralPlus, cfg.Touched = true, newTouches().by("alice")
	cfg.Target = func(context.Context, switchInfo) (*backend.Conn, relayConfig, error) {
		there := cfg
		there.Target, there.Touched = nil, nil
		go b.target.run()
		return &backend.Conn{Conn: nearTarget, R: wire.NewReader(nearTarget, 0)}, there, nil
	}
	near := nearBack
	if cfg.Dozer == nil { // which would not find the socket
		near = &watchedConn{nearBack, b}
	}
	b.r = newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{near, wire.NewReader(near, 0)}, cfg)
	go b.run()
	go b.source.run()
	return b
}

func pipes(byte) (far, near net.Conn) { return net.Pipe() }

// over closes what the test holds.
func (b *moveBed) over() relayStats {
	b.client.Close()
	stats := <-b.ended
	b.source.conn.Close()
	b.target.conn.Close()
	return stats
}

// goOver holds the session, copies its mail as a worker does, and moves it.
func (b *moveBed) goOver() (reason string) {
	<-b.r.hold()
	b.acknowledged.Store(true)
	b.target.mu.Lock()
	b.target.store = copyOf(b.source.store)
	b.target.mu.Unlock()
	b.r.move(switchInfo{}, func(reason string) { b.told <- reason })
	return <-b.told
}

// movedScript is a session of all kinds of commands, of which the last ones stand in no mailbox.
const movedScript = "a ENABLE X\r\nb SELECT Work\r\nc FETCH 1:* FLAGS\r\nd STORE 1 +FLAGS (x)\r\ne IDLE\r\nDONE\r\n" +
	"f UID SEARCH RETURN (SAVE) SEEN\r\ng UID FETCH $ FLAGS\r\nh APPEND Work (z) {12+}\r\nIDLE\r\n{9+}\r\n\r\ni EXAMINE Other\r\n" +
	"j FETCH 1 BODY.PEEK[]\r\njj FETCH 1 BODY[]\r\nk IDLE\r\nDONE\r\nl UNSELECT\r\nm APPEND Other {3}\r\nabc\r\nn SELECT None\r\no SELECT {4+}\r\nWork\r\n" +
	"p COMPRESS DEFLATE\r\nq FETCH 1 BODY[]\r\nr STORE 2 +FLAGS (\\Deleted)\r\ns EXPUNGE\r\nt WHAT {2}\r\nxy\r\nu UID FETCH 1:* FLAGS\r\n" +
	"v CLOSE\r\nw IDLE\r\nDONE\r\nx NOOP\r\nbye LOGOUT\r\n"

// toldAtMove are the responses that a client hears at a move without a change of its mailbox.
var toldAtMove = regexp.MustCompile(`\* FLAGS \([^\r\n]*\r\n|\* OK \[PERMANENTFLAGS [^\r\n]*\r\n`)

// TestRelayMove defends I2 and I3: wherever in a session a switch comes, the client hears what it hears without one,
// each of its commands reaches one of the servers once, nothing but what the relay has to ask reaches the source after
// the acknowledgement, and the mail is the same in the end. The clock is false, so that a slow server has commands in
// flight when the hold comes.
func TestRelayMove(t *testing.T) {
	for _, slow := range []bool{false, true} {
		var want moveResult
		synctest.Test(t, func(t *testing.T) { want = movedRun(t, movedScript, -1, slow, 0) })
		moves := 0
		check := func(at int, after time.Duration) {
			synctest.Test(t, func(t *testing.T) {
				got := movedRun(t, movedScript, at, slow, after)
				if got.heard != want.heard || got.said != want.said || got.mail != want.mail {
					t.Fatalf("slow %v, move at %d after %s:\nclient heard\n%s\nservers got\n%q\nwant\n%s\n%q\nmail: %s", slow, at, after, got.heard, got.said, want.heard, want.said, got.mail)
				}
				if got.reason == "" {
					moves++
				} else if got.reason != gone {
					t.Fatalf("slow %v, move at %d after %s: %s", slow, at, after, got.reason)
				}
			})
		}
		for at := range len(movedScript) {
			check(at, 0)
		}
		tried := len(movedScript)
		for answers := 0; slow && answers < 150; answers++ { // the slow servers have said half as much
			check(len(movedScript), time.Duration(answers)*500*time.Millisecond+time.Millisecond)
			tried++
		}
		t.Logf("slow %v: %d of %d switches moved the session", slow, moves, tried)
		if moves < tried*2/3 {
			t.Errorf("slow %v: only %d of %d switches moved the session", slow, moves, tried)
		}
	}
}

type moveResult struct {
	heard  string // by the client, without what is told at a move
	said   string // by the client, to both servers
	mail   string
	reason string
}

// movedRun plays all, with a switch some time after its first at bytes, or without one if at is negative.
func movedRun(t *testing.T, all string, at int, slow bool, after time.Duration) (res moveResult) {
	b := newMoveBed(slow, relayConfig{}, pipes)
	said := make(chan string, 1)
	go func() { said <- script{}.play(t, b.client, nil) }()
	cutWrite(b.client, []byte(all[:max(at, 0)]), nil)
	if at >= 0 {
		time.Sleep(after)
		synctest.Wait() // all that can be sent on has been
	}
	go cutWrite(b.client, []byte(all[max(at, 0):]), nil)
	if at >= 0 {
		res.reason = b.goOver()
	}
	res.heard = toldAtMove.ReplaceAllString(<-said, "")
	b.over()
	if what := b.broken.Load(); what != nil {
		t.Errorf("move at %d: the source got %q after the acknowledgement", at, *what)
	}
	res.said = sentTo(b.source, b.target)
	if res.mail = b.source.store.text(); b.target.store != nil && res.reason == "" {
		res.mail = b.target.store.text()
	}
	return res
}

var ownCommand = regexp.MustCompile(`imapferry\d+ [^\r\n]*\r\n`)

// sentTo returns what the client has sent to both servers: their streams without what the relay has asked, and
// without the IDLE that it has begun again.
func sentTo(source, target *mailServer) string {
	first := ownCommand.ReplaceAllString(source.received(), "")
	second := ownCommand.ReplaceAllString(target.received(), "")
	line, rest, _ := strings.Cut(second, "\r\n")
	if head, ok := strings.CutSuffix(first, line+"\r\nDONE\r\n"); ok && strings.HasSuffix(line, " IDLE") {
		return head + line + "\r\n" + rest
	}
	return first + second
}
