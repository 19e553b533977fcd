package proxy

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// addTranscripts seeds a fuzz test with what the given speakers say in the relay's transcripts.
func addTranscripts(f *testing.F, add func(string), speakers string) {
	var files []string
	for _, kind := range []string{"relay", "translated", "vanished"} {
		some, err := filepath.Glob("testdata/" + kind + "-*.imap")
		if err != nil || len(some) == 0 {
			f.Fatalf("%d transcripts of %s, %v", len(some), kind, err)
		}
		files = append(files, some...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) < 4 || !strings.Contains(speakers, line[:1]) {
				continue
			}
			if raw, err := strconv.Unquote(line[3:]); err == nil && line[1] == '=' {
				said.WriteString(raw)
			} else if line[1] == ':' {
				said.WriteString(line[3:] + "\r\n")
			}
		}
		add(said.String())
	}
}

var fuzzViews = map[string]state.Folder{"INBOX": {Name: "INBOX", UIDValidity: 111, TargetUIDValidity: 222}}

var fuzzGaps = map[string]state.Folder{"INBOX": {
	Name: "INBOX", UIDValidity: 111, TargetUIDValidity: 111, HighestModSeq: 9, Skipped: []state.Gap{{From: 21, To: 30}},
}}

// FuzzRelayClient lets a client say anything to a backend that frames on its own: both sessions end, and no command
// that must not gets through.
func FuzzRelayClient(f *testing.F) {
	addTranscripts(f, func(s string) { f.Add([]byte(s), true); f.Add([]byte(s), false) }, "C")
	f.Fuzz(func(t *testing.T, said []byte, plus bool) {
		bed := newRelayBed(t, relayConfig{LiteralPlus: plus, Views: fuzzViews, NoModSeq: true}, nil)
		server := &imapServer{conn: bed.backend, plain: !plus}
		served := make(chan struct{})
		go func() { defer close(served); server.run() }()
		go func() {
			cutWrite(bed.client, said, nil)
			bed.client.(*net.TCPConn).CloseWrite()
		}()
		script{}.play(t, bed.client, nil)
		<-bed.ended
		<-served
		for name := range refused {
			if slices.Contains(server.commands, name) {
				t.Errorf("%s reached the backend", name)
			}
		}
		for _, line := range server.lines {
			_, rest := wire.Tag([]byte(line))
			name, _ := wire.Tag(rest)
			if wire.EqualFold(string(name), "GENURLAUTH") || wire.EqualFold(string(name), "ENABLE") && asksForModSeq(rest) {
				t.Errorf("%q reached the backend", line)
			}
		}
	})
}

// FuzzRelayServer lets a backend say anything. Without something to rewrite the client hears it byte by byte, but for
// a last line without end.
func FuzzRelayServer(f *testing.F) {
	addTranscripts(f, func(s string) { f.Add([]byte(s)) }, "BD")
	f.Fuzz(func(t *testing.T, said []byte) {
		got := fuzzServer(t, said, relayConfig{})
		rest, ok := strings.CutPrefix(string(said), got)
		if !ok || strings.Contains(rest, "\n") {
			t.Errorf("client heard %q", got)
		}
		fuzzServer(t, said, relayConfig{Views: fuzzViews, NoModSeq: true, Caps: func(c backend.Caps) backend.Caps {
			return promise(state.Migrated, state.Translated, nil, c)
		}})
		got = fuzzServer(t, said, relayConfig{Views: fuzzGaps}, "b SELECT INBOX (QRESYNC (111 5))\r\nc UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5 VANISHED)\r\n")
		const gap = "* VANISHED (EARLIER) 21:30\r\n"
		if more := strings.Count(got, gap) - strings.Count(string(said), gap); more > 2 {
			t.Errorf("gaps are told %d times: %q", more, got)
		}
	})
}

// fuzzServer returns what a client hears that sends commands, of a backend that says what it likes.
func fuzzServer(t *testing.T, said []byte, cfg relayConfig, commands ...string) string {
	bed := newRelayBed(t, cfg, nil)
	go func() {
		cutWrite(bed.backend, said, nil)
		bed.backend.(*net.TCPConn).CloseWrite()
	}()
	got := script{{send: strings.Join(commands, "")}}.play(t, bed.client, nil)
	bed.client.Close()
	<-bed.ended
	return got
}
