package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/wire"
)

// stalledBed is a relay over pipes, which take a write only when it is read, under a clock that runs when all wait.
func stalledBed(cfg relayConfig) (client, back net.Conn, r *relay, ended chan relayStats) {
	client, nearClient := net.Pipe()
	back, nearBack := net.Pipe()
	r = newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{nearBack, wire.NewReader(nearBack, 0)}, cfg)
	bed := &relayBed{client: client, backend: back, r: r, ended: make(chan relayStats, 1)}
	go bed.run()
	return client, back, r, bed.ended
}

func TestRelayIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dozer, stop := newDozer(), make(chan struct{})
		dozer.poller = nil
		defer close(stop)
		go dozer.run(stop)
		client, back, _, ended := stalledBed(relayConfig{Dozer: dozer})
		begun := time.Now()
		for range 3 { // a byte now and then keeps it alive
			time.Sleep(30 * time.Minute)
			if _, err := io.WriteString(back, "* OK still here\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(client, make([]byte, len("* OK still here\r\n"))); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := io.ReadAll(client)
		if want := "* BYE Autologout; idle for too long\r\n"; string(got) != want {
			t.Errorf("client heard %q; want %q", got, want)
		}
		if stats := <-ended; stats.Reason != endedByTimeout {
			t.Errorf("stats = %+v", stats)
		}
		if d := time.Since(begun); d < 125*time.Minute || d > 126*time.Minute {
			t.Errorf("ended after %s; want 125 minutes", d)
		}
	})
}

func TestRelayClientNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, back, _, ended := stalledBed(relayConfig{})
		if _, err := io.WriteString(back, "* 1 EXISTS\r\n"); err != nil {
			t.Fatal(err)
		}
		if stats := <-ended; stats.Reason != endedByTimeout || !isTimeout(stats.Err) {
			t.Errorf("stats = %+v", stats)
		}
	})
}

func TestRelayBackendNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _, ended := stalledBed(relayConfig{})
		if _, err := io.WriteString(client, "a NOOP\r\n"); err != nil {
			t.Fatal(err)
		}
		if stats := <-ended; stats.Reason != endedByTimeout || !isTimeout(stats.Err) {
			t.Errorf("stats = %+v", stats)
		}
	})
}

// TestRelayEndStalled ends a session whose backend is silent in the middle of a literal, and one whose client does
// not read: the end comes within its grace, and no BYE stands inside the literal.
func TestRelayEndStalled(t *testing.T) {
	const begun = "* 1 FETCH (BODY[] {100}\r\nabc"
	for _, reads := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			client, back, r, ended := stalledBed(relayConfig{})
			if _, err := io.WriteString(back, begun); err != nil {
				t.Fatal(err)
			}
			if reads {
				if _, err := io.ReadFull(client, make([]byte, len(begun))); err != nil {
					t.Fatal(err)
				}
			}
			at := time.Now()
			r.end("moved")
			r.end("moved twice")
			if reads {
				if got, _ := io.ReadAll(client); len(got) > 0 {
					t.Errorf("client heard %q inside a literal", got)
				}
			}
			if stats := <-ended; stats.Reason != endedByUs {
				t.Errorf("stats = %+v", stats)
			}
			if d := time.Since(at); d > endGrace+lingerLimit {
				t.Errorf("ended after %s", d)
			}
			client.Close()
			back.Close()
		})
	}
}

func TestRelayContextEnds(t *testing.T) {
	client, nearClient := tcpPair(t)
	_, nearBack := tcpPair(t)
	r := newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{nearBack, wire.NewReader(nearBack, 0)}, relayConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan relayStats, 1)
	go func() { done <- r.run(ctx) }()
	if got, _ := io.ReadAll(client); string(got) != "* BYE [UNAVAILABLE] server is shutting down\r\n" {
		t.Errorf("client heard %q", got)
	}
	client.Close()
	if stats := <-done; stats.Reason != endedByUs {
		t.Errorf("stats = %+v", stats)
	}
	<-r.hold() // a session that is over is quiet
	r.resume()
	r.end("late")
}
