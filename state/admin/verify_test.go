package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"imapferry/state"
	"imapferry/state/admin"
)

// withBody gives a request a body.
func withBody(text string) func(*http.Request) {
	return func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(text)) }
}

// What goes wrong before the first line is answered as any other request.
func TestVerifyErrors(t *testing.T) {
	f := newFixture(t)
	f.server.Verify = func(_ context.Context, user string, ask admin.VerifyRequest, _ func(any)) error {
		if user != "alice@a.example" || ask != (admin.VerifyRequest{Bodies: "none", From: "Sent"}) {
			return fmt.Errorf("user %s, %+v", user, ask)
		}
		return state.ErrUnknown
	}
	const ask = `{"bodies": "none", "from": "Sent"}`
	for _, c := range []struct {
		method, name, body string
		want               int
		says               string
	}{
		{"POST", "Alice", ask, 404, "not known"},
		{"POST", "alice", "", 503, "user alice@a.example, {Bodies: From:}"},
		{"GET", "alice", "", 405, "POST only"},
		{"POST", "alice", "{", 400, "the body must be as"},
		{"POST", "alice", `{"bodies": 7}`, 400, "the body must be as"},
		{"POST", "alice", `{"from": "` + strings.Repeat("x", state.MaxFolder+1) + `"}`, 400, "folder name"},
		{"POST", "alice", strings.Repeat(" ", 1<<17), 400, "bytes"},
		{"POST", "odd", ask, 400, "no such alias"},
		{"POST", "down", ask, 503, "alias server"},
	} {
		code, got := f.do(c.method, "/v1/users/"+c.name+"/verify", withBody(c.body))
		if says, _ := got["error"].(string); code != c.want || !strings.Contains(says, c.says) {
			t.Errorf("%s %s %.40s: %d %v, want %d with %q", c.method, c.name, c.body, code, got, c.want, c.says)
		}
	}
	f.server.Verify = nil
	if code, got := f.do("POST", "/v1/users/alice/verify", withBody(ask)); code != 404 {
		t.Errorf("without a verifier: %d %v", code, got)
	}
}

// Each line arrives while the next one is still to come, and an error after the first is told as such.
func TestVerifyStreams(t *testing.T) {
	f := newFixture(t)
	proceed := make(chan struct{})
	f.server.Verify = func(_ context.Context, _ string, _ admin.VerifyRequest, report func(any)) error {
		report(map[string]int{"n": 1})
		<-proceed
		report(map[string]int{"n": 2})
		return errors.New("the target went away")
	}
	c := f.serve("127.0.0.1:0")
	var lines []string
	err := c.Verify(t.Context(), "alice", admin.VerifyRequest{}, func(line json.RawMessage) error {
		if lines = append(lines, string(line)); len(lines) == 1 {
			close(proceed)
		}
		return nil
	})
	if got := strings.Join(lines, " "); got != `{"n":1} {"n":2}` || !errors.Is(err, admin.ErrStore) || err.Error() != "the target went away" {
		t.Errorf("lines %s, error %v", got, err)
	}
	f.server.Verify = func(context.Context, string, admin.VerifyRequest, func(any)) error { return nil }
	if err := c.Verify(t.Context(), "alice", admin.VerifyRequest{}, nil); err != nil {
		t.Errorf("nothing to tell: %v", err)
	}
}

// A client that goes away ends the verification, and so makes room; meanwhile no more than a few run.
func TestVerifyEndsWithTheClient(t *testing.T) {
	f := newFixture(t)
	ended := make(chan struct{})
	f.server.Verify = func(ctx context.Context, _ string, _ admin.VerifyRequest, report func(any)) error {
		report(map[string]string{"at": "INBOX"})
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}
	c := f.serve("127.0.0.1:0")
	const most = 4
	begun, gone := make(chan struct{}, most), make(chan error, most)
	ctx, cancel := context.WithCancel(t.Context())
	ask := func() {
		gone <- c.Verify(ctx, "alice", admin.VerifyRequest{}, func(json.RawMessage) error {
			begun <- struct{}{}
			return nil
		})
	}
	for range most {
		go ask()
		select {
		case <-begun:
		case err := <-gone:
			t.Fatal(err)
		}
	}
	if err := c.Verify(t.Context(), "alice", admin.VerifyRequest{}, nil); !errors.Is(err, admin.ErrRefused) || !strings.Contains(err.Error(), "too many") {
		t.Errorf("one more: %v", err)
	}
	cancel()
	for range most {
		<-ended
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}
