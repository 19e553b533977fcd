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
	"imapferry/state"
)

// addTranscripts seeds a fuzz test with what the given speakers say in the relay's transcripts.
func addTranscripts(f *testing.F, add func(string), speakers string) {
	files, err := filepath.Glob("testdata/relay-*.imap")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d transcripts, %v", len(files), err)
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

// FuzzRelayClient lets a client say anything to a backend that frames on its own: both sessions end, and no command that must not gets through.
func FuzzRelayClient(f *testing.F) {
	addTranscripts(f, func(s string) { f.Add([]byte(s), true); f.Add([]byte(s), false) }, "C")
	f.Fuzz(func(t *testing.T, said []byte, plus bool) {
		bed := newRelayBed(t, relayConfig{LiteralPlus: plus, Views: fuzzViews}, nil)
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
	})
}

// FuzzRelayServer lets a backend say anything. Without something to rewrite the client hears it byte by byte, but for a last line without end.
func FuzzRelayServer(f *testing.F) {
	addTranscripts(f, func(s string) { f.Add([]byte(s)) }, "BD")
	f.Fuzz(func(t *testing.T, said []byte) {
		got := fuzzServer(t, said, relayConfig{})
		rest, ok := strings.CutPrefix(string(said), got)
		if !ok || strings.Contains(rest, "\n") {
			t.Errorf("client heard %q", got)
		}
		fuzzServer(t, said, relayConfig{Views: fuzzViews, Caps: func(c backend.Caps) backend.Caps {
			return promise(state.Migrated, state.Translated, nil, c)
		}})
	})
}

func fuzzServer(t *testing.T, said []byte, cfg relayConfig) string {
	bed := newRelayBed(t, cfg, nil)
	go func() {
		cutWrite(bed.backend, said, nil)
		bed.backend.(*net.TCPConn).CloseWrite()
	}()
	got := script{}.play(t, bed.client, nil)
	bed.client.Close()
	<-bed.ended
	return got
}
