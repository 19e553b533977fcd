package migrate

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// A lease counts for less than the store lets it, from when it was asked for, and by the clock that has gone furthest: one stands still
// while the host sleeps.
func TestRenewalEnds(t *testing.T) {
	for _, c := range []struct {
		name       string
		goes, wall time.Duration // since the renewal
		valid      bool
	}{
		{"fresh", 0, 0, true},
		{"in time", 24 * time.Second, 24 * time.Second, true},
		{"over", leaseSafe, leaseSafe, false},
		{"slept", time.Second, leaseTTL, false},
		{"wall clock put back", leaseTTL, -time.Hour, false},
	} {
		now := time.Now()
		r := &renewal{now.Add(-c.goes), now.Add(-c.wall).UnixNano()}
		if r.valid(now) != c.valid {
			t.Errorf("%s: valid is %v", c.name, !c.valid)
		}
	}
}

// I4, I6: a worker that was stopped goes on in the middle of a command when another one has taken over. Nothing of it reaches the target.
func TestUnleased(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w := &worker{}
	g := &stallGuard{Conn: near, leased: w.leased}
	got := make(chan byte, 100)
	go func() {
		b := []byte{0}
		for _, err := far.Read(b); err == nil; _, err = far.Read(b) {
			got <- b[0]
		}
		close(got)
	}()
	w.renewed.Store(newRenewal())
	if _, err := g.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	w.renewed.Store(&renewal{time.Now().Add(-leaseTTL), 0})
	if _, err := g.Write([]byte("b")); !errors.Is(err, state.ErrLost) {
		t.Errorf("written, and %v", err)
	}
	near.Close()
	var all []byte
	for b := range got {
		all = append(all, b)
	}
	if string(all) != "a" {
		t.Errorf("the target has got %q", all)
	}
}

// I6, I7: the same worker is about to call doveadm, by which it could even delete an INBOX that is live by now.
func TestUnleasedDoveadm(t *testing.T) {
	var called atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		_, _ = io.WriteString(w, `[["doveadmResponse",[],"f"]]`)
	}))
	defer srv.Close()
	d, err := newDovecotAdapter(srv.URL, "key")
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{}
	dst := &client{guard: &stallGuard{leased: w.leased}}
	w.renewed.Store(newRenewal())
	if err := d.clearInbox(t.Context(), dst, "alice"); err != nil || called.Load() != 1 {
		t.Fatalf("with a lease: %v, called %d times", err, called.Load())
	}
	w.renewed.Store(&renewal{time.Now().Add(-leaseTTL), 0})
	if err := d.clearInbox(t.Context(), dst, "alice"); !errors.Is(err, state.ErrLost) || called.Load() != 1 {
		t.Errorf("without one: %v, called %d times", err, called.Load())
	}
}

// What a worker has sent, and its kernel has not, never reaches the target after abort.
func TestAbort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	sent := 0
	for chunk := make([]byte, 64<<10); err == nil; { // until nothing more fits
		var n int
		n, err = near.Write(chunk)
		sent += n
	}
	c := &client{conn: &backend.Conn{Conn: near}, stop: func() bool { return true }}
	c.abort()
	far.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := io.Copy(io.Discard, far)
	if !errors.Is(err, syscall.ECONNRESET) || n >= int64(sent) {
		t.Errorf("of %d bytes %d came, and then %v", sent, n, err)
	}
}
