package proxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapferry/internal/wire"
)

// A transcript is one dialogue. Each line is a step: who, how, what.
//
//	C client says       S client hears      (TLS by default)
//	P source hears      B source says       (the proxy's connection to it is accepted when needed)
//	Q target hears      D target says
//
//	X: text   this line with CRLF; lines of the same speaker that follow each other go out in one write
//	X= "raw"  these bytes, as a Go string, without line end
//	X~ regexp the line heard matches
//	X!        the speaker closes (C: its half), the listener sees the end
//	C! tls    the client begins TLS
//	@ words   a setting, before the first step: see settings in bed_test.go
//	? check   waits for a state of the proxy: see checks in bed_test.go
//	2C: text  a digit before any of them: in another session
//
// A failure names file and line.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.imap")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.imap: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".imap"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, file, string(text))
		})
	}
}

// stepTimeout bounds each step; it is reached by failing tests only.
const stepTimeout = 30 * time.Second

// peer is one side of the dialogue that the test plays.
type peer struct {
	who    byte // in the step under way
	conn   net.Conn
	r      *wire.Reader
	accept net.Listener // nil for the client
	unsent bytes.Buffer
}

// cast is who plays in one session. Where several sessions reach a server at once it is not known whose connection comes
// first, so a transcript lets one connect after the other.
type cast struct {
	client   *peer
	backends map[byte]*peer
}

const firstSession = byte('1')

// turnTo makes the steps from now on those of another session, and reports whether it is another one.
func (b *bed) turnTo(session byte) bool {
	c := b.casts[session]
	if c == nil {
		source, target := &peer{accept: b.sourceL}, &peer{accept: b.targL}
		c = &cast{backends: map[byte]*peer{'P': source, 'B': source, 'Q': target, 'D': target}}
		b.casts[session] = c
	}
	turns := b.cast != c
	b.cast = c
	return turns
}

// hangUp closes what the test holds of the session.
func (c *cast) hangUp() {
	for _, p := range []*peer{c.client, c.backends['P'], c.backends['Q']} {
		if p != nil && p.conn != nil {
			p.conn.Close()
		}
	}
}

func (p *peer) use(conn net.Conn) {
	p.conn = conn
	p.r = wire.NewReader(conn, 0)
}

// flush sends what consecutive lines have collected.
func (p *peer) flush() error {
	if p.unsent.Len() == 0 {
		return nil
	}
	_, err := p.conn.Write(p.unsent.Bytes())
	p.unsent.Reset()
	return err
}

func play(t *testing.T, file, text string) {
	b := newBed(t)
	var last *peer
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		err := b.step(line, &last)
		if err != nil {
			t.Fatalf("%s:%d: %s: %v", file, i+1, line, err)
		}
	}
	if last != nil {
		if err := last.flush(); err != nil {
			t.Fatalf("%s: at the end: %v", file, err)
		}
	}
}

// step plays one line. last is the peer that spoke in the line before.
func (b *bed) step(line string, last **peer) error {
	session := firstSession
	if len(line) > 0 && line[0] >= '1' && line[0] <= '9' {
		session, line = line[0], line[1:]
	}
	if len(line) < 2 {
		return fmt.Errorf("no step")
	}
	who, how, what := line[0], line[1], strings.TrimPrefix(line[2:], " ")
	if who == '@' {
		return b.set(strings.TrimSpace(line[1:]))
	}
	turns := b.turnTo(session)
	if *last != nil && (who != (*last).who || how == '!' || turns) {
		if err := (*last).flush(); err != nil {
			return err
		}
		*last = nil
	}
	if who == '?' {
		return b.await(strings.TrimSpace(line[1:]))
	}
	p, err := b.peer(who)
	if err != nil {
		return err
	}
	p.who = who
	speaks := strings.IndexByte("CBD", who) >= 0
	switch {
	case speaks && how != '!':
		*last = p
		return p.say(how, what)
	case speaks && what == "tls":
		tc := tls.Client(p.conn, b.clientTLS)
		p.use(tc)
		return tc.Handshake()
	case speaks:
		return p.hangUp(who == 'C')
	}
	return p.hear(how, what)
}

func (p *peer) say(how byte, what string) error {
	switch how {
	case ':':
		p.unsent.WriteString(what + "\r\n")
		return nil
	case '=':
		raw, err := strconv.Unquote(what)
		p.unsent.WriteString(raw)
		return err
	}
	return fmt.Errorf("unknown step")
}

func (p *peer) hangUp(half bool) error {
	if c, ok := p.conn.(interface{ CloseWrite() error }); ok && half {
		return c.CloseWrite()
	}
	err := p.conn.Close()
	p.conn = nil
	return err
}

func (p *peer) hear(how byte, what string) error {
	_ = p.conn.SetReadDeadline(time.Now().Add(stepTimeout))
	if how == '=' {
		want, err := strconv.Unquote(what)
		if err != nil {
			return err
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
			return fmt.Errorf("heard %q, %v", got, err)
		}
		return nil
	}
	line, err := p.r.Line(1 << 20)
	if how == '!' {
		if err == nil {
			return fmt.Errorf("heard %q; want the end", line)
		}
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return fmt.Errorf("still open after %s", stepTimeout)
		}
		p.conn.Close()
		p.conn = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("heard nothing: %w", err)
	}
	got := string(wire.TrimEOL(line))
	switch how {
	case ':':
		if got != what {
			return fmt.Errorf("heard %q", got)
		}
	case '~':
		if !regexp.MustCompile("^(?:" + what + ")$").MatchString(got) {
			return fmt.Errorf("heard %q", got)
		}
	default:
		return fmt.Errorf("unknown step")
	}
	return nil
}
