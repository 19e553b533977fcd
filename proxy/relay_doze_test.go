package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/internal/wire"
)

// newDozeBed is a session over sockets, TLS in front, as nodes have them. The dozer wakes it; when it dozes is the test's affair.
func newDozeBed(t *testing.T, d *dozer) *moveBed {
	serverTLS, clientTLS := testTLS(t)
	return newMoveBed(false, relayConfig{Dozer: d}, func(who byte) (far, near net.Conn) {
		a, b := tcpPair(t)
		if who != 'C' {
			return a, b
		}
		ca, cb := tls.Client(a, clientTLS), tls.Server(b, serverTLS)
		shaken := make(chan error, 1)
		go func() { shaken <- ca.Handshake() }()
		if err := cb.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		return ca, cb
	})
}

// pollingDozer only wakes sessions.
func pollingDozer(t *testing.T) (d *dozer, stop func()) {
	if d = newDozer(); d.poller == nil {
		t.Skip("no sockets can be watched here")
	}
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		d.poller.run()
	}()
	return d, func() {
		d.poller.close()
		<-polled
	}
}

// dozes reports whether the session dozes, which it is asked to do.
func (b *moveBed) dozes() bool {
	b.r.settleDown()
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	return b.r.halting.dozes
}

// restingPlaces returns after how many bytes of a session its commands so far are whole.
func restingPlaces(t *testing.T, all string) map[int]bool {
	places := map[int]bool{}
	r := wire.NewReader(strings.NewReader(all), 0)
	for at := 0; at < len(all); places[at] = true {
		for more := true; more; {
			line, err := r.Line(len(all))
			if err != nil {
				t.Fatal(err)
			}
			at += len(line)
			lit, _, ok := wire.ParseLiteral(line)
			if more = ok; more {
				n, _ := io.Copy(io.Discard, r.Literal(lit.Size))
				at += int(n)
			}
		}
	}
	return places
}

// TestRelayDoze lets a session doze wherever its client may pause, and tries to elsewhere: nothing is lost, whether
// the session wakes by the client's next word or is moved first.
func TestRelayDoze(t *testing.T) {
	defer goleak.VerifyNone(t)
	d, stop := pollingDozer(t)
	defer stop()
	var want moveResult
	rests := restingPlaces(t, movedScript)
	for at := -1; at < len(movedScript); at++ {
		for _, move := range []bool{false, true} {
			if move && !rests[at] {
				continue
			}
			got := dozedRun(t, d, at, rests[at], move)
			if at < 0 {
				want = got
				continue
			}
			if got.heard != want.heard || got.said != want.said || got.mail != want.mail || got.reason != "" {
				t.Fatalf("dozed at %d, move %v (%q): client heard\n%s\nservers got\n%q\nwant\n%s\n%q\nmail: %s",
					at, move, got.reason, got.heard, got.said, want.heard, want.said, got.mail)
			}
		}
	}
}

// dozedRun plays movedScript with a nap after at bytes: for sure if it rests there. at may be negative.
func dozedRun(t *testing.T, d *dozer, at int, rests, move bool) (res moveResult) {
	b := newDozeBed(t, d)
	heard := make(chan string, 1)
	go func() { heard <- script{}.play(t, b.client, nil) }()
	cutWrite(b.client, []byte(movedScript[:max(at, 0)]), nil)
	if rests {
		must(t, "doze", b.dozes)
	} else if at >= 0 {
		b.dozes()
	}
	if move {
		res.reason = b.goOver()
		if at%2 == 0 { // and once more, at the target
			must(t, "doze at the target", b.dozes)
		}
	}
	cutWrite(b.client, []byte(movedScript[max(at, 0):]), nil)
	res.heard = toldAtMove.ReplaceAllString(<-heard, "")
	b.over()
	res.said, res.mail = sentTo(b.source, b.target), b.source.store.text()
	if move {
		res.mail = b.target.store.text()
	}
	return res
}

// TestRelayDozeWakes wakes a dozing session by what its server says, by its client's leaving, by its server's, by
// end, and by cut: it takes each as if it had been awake, and nothing of it is left.
func TestRelayDozeWakes(t *testing.T) {
	defer goleak.VerifyNone(t)
	d, stop := pollingDozer(t)
	defer stop()
	const idle = "a IDLE\r\n"
	for _, c := range []struct {
		name   string
		wake   func(b *moveBed)
		heard  string
		reason endReason
	}{
		{"server says", func(b *moveBed) {
			b.source.say("* 4 EXISTS\r\n")
			cutWrite(b.client, []byte("DONE\r\nb LOGOUT\r\n"), nil)
		},
			"* 4 EXISTS\r\na OK IDLE done\r\n* BYE bye\r\nb OK LOGOUT done\r\n", endedByLogout},
		{"client leaves", func(b *moveBed) { _ = b.client.(*tls.Conn).CloseWrite() }, "", endedByClient},
		{"server leaves", func(b *moveBed) { b.source.conn.Close() }, "", endedByBackend},
		{"end", func(b *moveBed) { b.r.end("down") }, "* BYE down\r\n", endedByUs},
		{"cut", func(b *moveBed) { b.r.cut() }, "", endedByClient},
		{"idle for too long", func(b *moveBed) { d.look(time.Now().Add(2 * idleLimit)) }, "* BYE Autologout; idle for too long\r\n", endedByTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newDozeBed(t, d)
			heard := make(chan string, 1)
			go func() { heard <- script{}.play(t, b.client, nil) }()
			cutWrite(b.client, []byte(idle), nil)
			must(t, "doze", b.dozes)
			if b.r.client.r.Buffered() != 0 || b.r.up.buf != nil || b.r.down.buf != nil {
				t.Error("a dozing session keeps a buffer")
			}
			c.wake(b)
			if got, want := <-heard, "+ idling\r\n"+c.heard; got != want && c.name != "cut" {
				t.Errorf("client heard %q; want %q", got, want)
			}
			if stats := b.over(); stats.Reason != c.reason && c.name != "cut" {
				t.Errorf("stats = %+v; want reason %s", stats, c.reason)
			}
		})
	}
	if n := len(d.relays); n != 0 {
		t.Errorf("the dozer still knows %d sessions", n)
	}
	for fd, r := range d.poller.dozing {
		if r != nil {
			t.Errorf("descriptor %d is still watched", fd)
		}
	}
}
