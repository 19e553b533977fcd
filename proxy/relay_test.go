package proxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"imapferry/internal/wire"
)

// runDirect plays the script against the server without a relay.
func runDirect(t testing.TB, sc script, plain bool) (server *imapServer, heard string) {
	client, back := tcpPair(t)
	server = &imapServer{conn: back, plain: plain}
	go server.run()
	return server, sc.play(t, client, nil)
}

// TestRelayTransparent cuts random legal sessions into random pieces: both sides must get the very bytes that they
// get without a relay.
func TestRelayTransparent(t *testing.T) {
	defer goleak.VerifyNone(t)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		sc := randomScript(rng, 40, true, true)
		direct, want := runDirect(t, sc, false)

		bed := newRelayBed(t, relayConfig{LiteralPlus: true}, nil)
		server := &imapServer{conn: bed.backend, rng: rand.New(rand.NewPCG(seed, 8))}
		go server.run()
		got := sc.play(t, bed.client, rng)
		bed.client.Close()
		stats := <-bed.ended
		if got != want {
			t.Fatalf("seed %d: client heard %d bytes, want %d; first difference at %d", seed, len(got), len(want), differ(got, want))
		}
		if a, b := server.received(), direct.received(); a != b {
			t.Fatalf("seed %d: backend got %d bytes, want %d; first difference at %d", seed, len(a), len(b), differ(a, b))
		}
		if stats.Reason != endedByLogout || stats.Err != nil || stats.ToClient != int64(len(got)) || stats.ToBackend != int64(len(server.received())) {
			t.Fatalf("seed %d: stats = %+v", seed, stats)
		}
	}
}

func differ(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

// tripwire notes what must not happen between quiet and resume.
type tripwire struct {
	quiet  atomic.Pointer[<-chan struct{}] // nil before the hold and after resume
	broken atomic.Pointer[string]
}

// check is called with what is about to happen.
func (w *tripwire) check(what string) {
	quiet := w.quiet.Load()
	if quiet == nil {
		return
	}
	select {
	case <-*quiet:
		w.broken.Store(&what)
	default:
	}
}

// wiredConn checks each write.
type wiredConn struct {
	net.Conn
	wire *tripwire
}

func (c *wiredConn) Write(p []byte) (int, error) {
	c.wire.check("write of " + string(p))
	return c.Conn.Write(p)
}

// TestRelayHold defends I3: wherever in a session a hold comes, between quiet and resume nothing reaches the backend
// and the backend answers nothing, so no command was in flight; and nothing is lost. The clock is false, so that a
// slow backend has commands in flight when the hold comes.
func TestRelayHold(t *testing.T) {
	const all = "a SELECT INBOX\r\nb APPEND x {12+}\r\nc STORE 1 x\r {3+}\r\nabc\r\n" +
		"d IDLE\r\nDONE\r\ne STORE 1 +FLAGS (x)\r\nf NOIDLE\r\nDONE\r\ng COMPRESS DEFLATE\r\nk EARLY x {5+}\r\nabcde\r\n" +
		"h APPEND y {3}\r\nabc\r\n\r\nj FETCH 1 BODY[]\r\nbye LOGOUT\r\n"
	for _, slow := range []bool{false, true} {
		var want, wantServer string
		synctest.Test(t, func(t *testing.T) { want, wantServer = heldRun(t, all, -1, slow, 0) })
		check := func(at int, after time.Duration) {
			synctest.Test(t, func(t *testing.T) {
				got, gotServer := heldRun(t, all, at, slow, after)
				if got != want || gotServer != wantServer {
					t.Fatalf("hold at %d: client heard %q, want %q; backend got %q, want %q", at, got, want, gotServer, wantServer)
				}
			})
		}
		for at := range len(all) {
			check(at, 0)
		}
		behindDone := strings.Index(all, "DONE\r\n") + len("DONE\r\n")
		for n := range 30 { // the slow backend has answered n/2 times
			after := time.Duration(n)*500*time.Millisecond + time.Millisecond
			check(behindDone, after)
			check(len(all), after)
		}
	}
}

// heldRun plays all, with a hold some time after its first at bytes, or with none if at is negative.
func heldRun(t *testing.T, all string, at int, slow bool, after time.Duration) (heard, received string) {
	client, nearClient := net.Pipe()
	back, nearBack := net.Pipe()
	trip := &tripwire{}
	wired := &wiredConn{nearBack, trip}
	bed := &relayBed{client: client, backend: back, ended: make(chan relayStats, 1)}
	bed.r = newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{wired, wire.NewReader(wired, 0)}, relayConfig{LiteralPlus: true})
	server := &imapServer{conn: back, slow: slow, saying: trip.check}
	go bed.run()
	go server.run()
	said := make(chan string, 1)
	go func() { said <- script{}.play(t, client, nil) }()
	cutWrite(client, []byte(all[:max(at, 0)]), nil)
	var quiet <-chan struct{}
	if at >= 0 {
		time.Sleep(after)
		synctest.Wait() // all that can be sent on has been
		quiet = bed.r.hold()
		trip.quiet.Store(&quiet)
	}
	go cutWrite(client, []byte(all[max(at, 0):]), nil)
	if at >= 0 {
		<-quiet
		time.Sleep(time.Minute) // of the false clock: a slow backend answers what it has
		if what := trip.broken.Load(); what != nil {
			t.Errorf("hold at %d, slow %v: after quiet: %s", at, slow, *what)
		}
		if bed.r.hold() != quiet {
			t.Errorf("hold at %d: another channel for the same hold", at)
		}
		trip.quiet.Store(nil)
		bed.r.resume()
	}
	heard = <-said
	client.Close()
	<-bed.ended
	return heard, server.received()
}

// TestRelayEnd calls end at every byte of what a backend says: the client hears whole responses, then the BYE, then the end.
func TestRelayEnd(t *testing.T) {
	defer goleak.VerifyNone(t)
	responses := []string{
		"* 1 EXISTS\r\n", "* OK [ALERT] text {5}\r\n", "* 1 FETCH (BODY[] {13}\r\n* OK\r\n* BYE\r\n FLAGS ())\r\n",
		"+ go\r\n", "x OK done\r\n", "* LIST () \"/\" {5}\r\nINBOX\r\n", "* CAPABILITY IMAP4rev1\r\n",
	}
	all, ends := "", map[string]bool{"": true}
	for _, resp := range responses {
		all += resp
		ends[all] = true
	}
	for at := range len(all) + 1 {
		bed := newRelayBed(t, relayConfig{}, nil)
		cutWrite(bed.backend, []byte(all[:at]), nil)
		bed.r.end("moved")
		cutWrite(bed.backend, []byte(all[at:]), nil)
		got := script{}.play(t, bed.client, nil)
		before, ok := strings.CutSuffix(got, "* BYE moved\r\n")
		if !ok || !ends[before] {
			t.Fatalf("end at %d: client heard %q", at, got)
		}
		bed.client.Close()
		if stats := <-bed.ended; stats.Reason != endedByUs || stats.Err != nil {
			t.Fatalf("end at %d: stats = %+v", at, stats)
		}
	}
}

// TestRelayBackendDies cuts the backend's stream at every byte: what came whole is delivered, and no BYE follows
// inside a literal.
func TestRelayBackendDies(t *testing.T) {
	defer goleak.VerifyNone(t)
	const all = "* 1 EXISTS\r\n* 1 FETCH (BODY[] {13}\r\n* OK\r\n* BYE\r\n FLAGS ())\r\nx OK done\r\n"
	for at := range len(all) + 1 {
		bed := newRelayBed(t, relayConfig{}, nil)
		cutWrite(bed.backend, []byte(all[:at]), nil)
		bed.backend.Close()
		got := script{}.play(t, bed.client, nil)
		rest, ok := strings.CutPrefix(all[:at], got)
		if !ok || strings.Contains(rest, "\n") {
			t.Fatalf("died at %d: client heard %q", at, got)
		}
		bed.client.Close()
		if stats := <-bed.ended; stats.Reason != endedByBackend {
			t.Fatalf("died at %d: stats = %+v", at, stats)
		}
	}
}

// TestRelayHalfClose ends the client's stream behind pipelined commands: all answers still come.
func TestRelayHalfClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	bed := newRelayBed(t, relayConfig{}, nil)
	server := &imapServer{conn: bed.backend}
	go server.run()
	cutWrite(bed.client, []byte("a NOOP\r\nb NOOP\r\nc NO"), nil)
	bed.client.(*net.TCPConn).CloseWrite()
	got := script{}.play(t, bed.client, nil)
	if want := "a OK NOOP done {5}\r\nb OK NOOP done {5}\r\n"; got != want {
		t.Errorf("client heard %q; want %q", got, want)
	}
	if stats := <-bed.ended; stats.Reason != endedByClient || stats.Err != nil {
		t.Errorf("stats = %+v", stats)
	}
	if got := server.received(); got != "a NOOP\r\nb NOOP\r\n" {
		t.Errorf("backend got %q", got)
	}
}

// TestRelayWithoutLiteralPlus runs clients that were promised LITERAL+ against a server that would take the literals
// for commands.
func TestRelayWithoutLiteralPlus(t *testing.T) {
	defer goleak.VerifyNone(t)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		sc := randomScript(rng, 30, true, true)
		sc = append(script{{send: "r REFUSE x {5+}\r\nr2 XX {3+}\r\nabc {1+}\r\nx\r\n"}}, sc...)
		bed := newRelayBed(t, relayConfig{}, nil)
		server := &imapServer{conn: bed.backend, plain: true}
		go server.run()
		got := sc.play(t, bed.client, rng)
		bed.client.Close()
		<-bed.ended
		if strings.Contains(got, "BAD") { // the server's answer to {n+}
			t.Fatalf("seed %d: a non-synchronizing literal reached the backend", seed)
		}
		if !strings.HasPrefix(got, "r NO [LIMIT] not this literal {7}\r\n") {
			t.Fatalf("seed %d: client heard %q", seed, got[:80])
		}
		if n := strings.Count(got, "+ go ahead"); n != strings.Count(fmt.Sprint(sc), "append box") {
			t.Fatalf("seed %d: client heard %d continuation requests", seed, n)
		}
	}
}

// TestRelayManyInFlight pipelines more commands than a relay keeps.
func TestRelayManyInFlight(t *testing.T) {
	defer goleak.VerifyNone(t)
	bed := newRelayBed(t, relayConfig{LiteralPlus: true}, nil)
	r := wire.NewReader(bed.backend, 0)
	const rounds = 3
	go cutWrite(bed.client, []byte(strings.Repeat("same NOOP\r\n", rounds*maxFlight)), nil)
	for range rounds {
		for range maxFlight {
			if _, err := r.Line(100); err != nil {
				t.Fatal(err)
			}
		}
		bed.r.mu.Lock()
		n := len(bed.r.flight)
		bed.r.mu.Unlock()
		if n != maxFlight {
			t.Errorf("%d commands in flight; want %d", n, maxFlight)
		}
		cutWrite(bed.backend, []byte(strings.Repeat("same OK\r\n", maxFlight)), nil)
	}
	heard := wire.NewReader(bed.client, 0)
	for range rounds * maxFlight {
		if _, err := heard.Line(100); err != nil {
			t.Fatal(err)
		}
	}
	<-bed.r.hold()
	bed.client.Close()
	bed.backend.Close()
	<-bed.ended
}
