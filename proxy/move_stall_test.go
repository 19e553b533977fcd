package proxy

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// stalledMove is a session whose client has said something and then reads for as long as it is let.
type stalledMove struct {
	*moveBed
	heard chan string
}

// startStalled plays said to a source that answers it.
func startStalled(t *testing.T, said string) *stalledMove {
	b := &stalledMove{newMoveBed(false, relayConfig{}, pipes), make(chan string, 1)}
	go func() { b.heard <- script{}.play(t, b.client, nil) }()
	cutWrite(b.client, []byte(said), nil)
	synctest.Wait()
	return b
}

// silentTarget makes the target take the connection and say nothing, or not even take it.
func (b *stalledMove) silentTarget(connects bool) {
	_, near := net.Pipe()
	cfg := b.r.cfg
	b.r.cfg.Target = func(ctx context.Context, _ switchInfo) (*backend.Conn, relayConfig, error) {
		if !connects {
			<-ctx.Done()
			return nil, cfg, ctx.Err()
		}
		return &backend.Conn{Conn: near, R: wire.NewReader(near, 0)}, cfg, nil
	}
}

// silentSource makes the source say nothing any more until left.
func (b *stalledMove) silentSource(left <-chan struct{}) { b.source.saying = func(string) { <-left } }

// trickle makes the source answer in a line every so often, and not come to an end until left.
func (b *stalledMove) trickle(every time.Duration, left <-chan struct{}) {
	b.source.saying = func(string) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = io.WriteString(b.source.conn, "* OK Searched 1% of the mailbox\r\n")
			case <-left:
				return
			}
		}
	}
}

// TestMoveStalls defends I9: whoever does not answer, and wherever, the session ends in bounded time, its client hears why, and
// the reason is counted. A source that fell silent in a FETCH was waited for as long as one that works at it.
func TestMoveStalls(t *testing.T) {
	const selected = "a SELECT Work\r\n"
	const half = "* 1 FETCH (BODY[] {10}\r\nabc" // no BYE stands in it
	fetch := func(b *stalledMove) { cutWrite(b.client, []byte("b FETCH 1 FLAGS\r\n"), nil) }
	for _, c := range []struct {
		name, said string
		stall      func(b *stalledMove, left <-chan struct{})
		reason     string
		within     time.Duration
	}{
		{"target does not connect", selected, func(b *stalledMove, _ <-chan struct{}) { b.silentTarget(false) }, atTarget, moveTimeout},
		{"target does not answer", selected, func(b *stalledMove, _ <-chan struct{}) { b.silentTarget(true) }, atTarget, moveTimeout},
		{"source does not answer", selected, (*stalledMove).silentSource, atSource, moveTimeout},
		{"source does not end IDLE", selected + "b IDLE\r\n", (*stalledMove).silentSource, atSource, moveTimeout},
		{"source does not answer FETCH", selected, func(b *stalledMove, left <-chan struct{}) {
			b.silentSource(left)
			fetch(b)
		}, atSource, sourcePatience},
		{"source falls silent inside FETCH", selected, func(b *stalledMove, left <-chan struct{}) {
			b.silentSource(left)
			fetch(b)
			go cutWrite(b.source.conn, []byte(half), nil)
		}, atSource, sourcePatience},
		{"source does not come to the end of FETCH", selected, func(b *stalledMove, left <-chan struct{}) {
			b.trickle(sourcePatience-time.Second, left)
			fetch(b)
		}, atBusy, movePatience},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startStalled(t, c.said)
				left := make(chan struct{})
				c.stall(b, left)
				synctest.Wait()
				began := time.Now()
				if reason := b.goOver(); reason != c.reason {
					t.Errorf("reason %q; want %q", reason, c.reason)
				}
				if d := time.Since(began); d > c.within+time.Second {
					t.Errorf("known after %s; want %s", d, c.within)
				}
				got := <-b.heard
				if bye := "* BYE " + moved + "\r\n"; !strings.HasSuffix(got, half) && (!strings.HasSuffix(got, bye) || strings.Count(got, "BYE") != 1) {
					t.Errorf("client heard %q", got)
				}
				close(left)
				b.over()
			})
		})
	}
}

// TestMoveClientStalls moves a session in IDLE whose client does not read what the source still has to say.
func TestMoveClientStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMoveBed(false, relayConfig{}, pipes)
		for _, line := range []string{"a SELECT Work\r\n", "b IDLE\r\n"} {
			go cutWrite(b.client, []byte(line), nil)
			for word := ""; word != line[:1] && word != "+"; {
				buf := make([]byte, 1000)
				n, err := b.client.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSpace(string(buf[:n])), "\r\n")
				word = lines[len(lines)-1][:1]
			}
		}
		synctest.Wait()
		began := time.Now()
		go b.source.say("* 4 EXISTS\r\n") // the pump of responses stands in its write
		synctest.Wait()
		if reason := b.goOver(); reason != gone {
			t.Errorf("reason %q", reason)
		}
		if d := time.Since(began); d > writeTimeout+time.Second {
			t.Errorf("known after %s", d)
		}
		b.over()
	})
}

// TestMoveOwedWaits leaves a moved session alone that is owed a removal for as long as its client is silent: it counted
// as busy after ten minutes, and ended.
func TestMoveOwedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startStalled(t, "a SELECT Work\r\n")
		<-b.r.hold()
		b.target.mu.Lock()
		b.target.store = copyOf(b.source.store)
		b.target.store.boxes["Work"].mail = b.target.store.boxes["Work"].mail[1:]
		b.target.mu.Unlock()
		b.r.move(switchInfo{}, func(reason string) { b.told <- reason })
		time.Sleep(2 * movePatience)
		select {
		case reason := <-b.told:
			t.Errorf("counted as %q", reason)
		default:
		}
		cutWrite(b.client, []byte("b NOOP\r\nc LOGOUT\r\n"), nil)
		if got := <-b.heard; !strings.HasSuffix(got, "* 1 EXPUNGE\r\nb OK NOOP done\r\n* BYE bye\r\nc OK LOGOUT done\r\n") {
			t.Errorf("client heard %q", got)
		}
		if reason := <-b.told; reason != "" {
			t.Errorf("counted as %q", reason)
		}
		b.over()
	})
}

// TestMoveInterrupted ends and cuts a session at every step of its move: it is over at once, and whoever waits for the
// move is told.
func TestMoveInterrupted(t *testing.T) {
	for _, cut := range []bool{false, true} {
		for after := range 12 { // half a second each: the servers take a second for an answer
			synctest.Test(t, func(t *testing.T) {
				b := startStalled(t, "a SELECT Work\r\nb IDLE\r\n")
				synctest.Wait()
				b.source.slow, b.target.slow = true, true
				told := make(chan string, 1)
				go func() { told <- b.goOver() }()
				synctest.Wait()
				time.Sleep(time.Duration(after)*500*time.Millisecond + time.Millisecond)
				at := time.Now()
				if cut {
					b.r.cut()
				} else {
					b.r.end("down")
				}
				<-told
				got := <-b.heard
				if d := time.Since(at); d > endGrace+lingerLimit || cut && d > lingerLimit {
					t.Errorf("cut %v, after %d: over after %s", cut, after, d)
				}
				if !cut && !strings.HasSuffix(got, "* BYE down\r\n") {
					t.Errorf("after %d: client heard %q", after, got)
				}
				b.over()
				time.Sleep(time.Minute) // the servers finish their words
			})
		}
	}
}

// TestMoveHalfHeld is a client that never finishes its command under a hold: the hold is not acknowledged, and when it is called
// off the session goes on where it was.
func TestMoveHalfHeld(t *testing.T) {
	for _, half := range []string{"b STORE 1 +FL", "b APPEND Work {5+}\r\nab", "b APPEND Work {5}\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			b := startStalled(t, "a SELECT Work\r\n"+half)
			quiet := b.r.hold()
			time.Sleep(time.Hour)
			select {
			case <-quiet:
				if half != "b STORE 1 +FL" { // not yet a command to the relay
					t.Errorf("acknowledged in %q", half)
				}
			default:
			}
			b.r.resume()
			rest := map[string]string{"b STORE 1 +FL": "AGS (x)\r\n", "b APPEND Work {5+}\r\nab": "cde\r\n", "b APPEND Work {5}\r\n": "abcde\r\n"}[half]
			cutWrite(b.client, []byte(rest+"c LOGOUT\r\n"), nil)
			if got := <-b.heard; !strings.Contains(got, "b OK ") || !strings.HasSuffix(got, "c OK LOGOUT done\r\n") {
				t.Errorf("after %q the client heard %q", half, got)
			}
			b.over()
		})
	}
}

// TestMoveSourceTakesNothing moves a session whose source has closed one way: the pump of commands waits for the client to
// close, and nobody waits for it to halt.
func TestMoveSourceTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, nearClient := net.Pipe()
		back, nearBack := net.Pipe()
		cfg := relayConfig{Touched: newTouches().by("alice"), Target: func(context.Context, switchInfo) (*backend.Conn, relayConfig, error) {
			t.Error("moved")
			return nil, relayConfig{}, io.EOF
		}}
		b := &moveBed{relayBed: relayBed{client: client, backend: back, ended: make(chan relayStats, 1)}, told: make(chan string, 1)}
		b.r = newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{brokenConn{nearBack}, wire.NewReader(nearBack, 0)}, cfg)
		go b.run()
		cutWrite(client, []byte("a NOOP\r\n"), nil)
		synctest.Wait()
		b.r.hold()
		b.r.move(switchInfo{}, func(reason string) { b.told <- reason })
		if reason := <-b.told; reason != gone {
			t.Errorf("reason %q", reason)
		}
		client.Close()
		back.Close()
		<-b.ended
	})
}

// brokenConn takes nothing.
type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
