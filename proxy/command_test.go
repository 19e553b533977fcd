package proxy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imapferry/internal/wire"
)

// FuzzCommand feeds the reader of commands before the login with anything, the transcripts first. A command that it
// returns has a tag that can be echoed, and memory is bounded by the bound of a command (I9).
func FuzzCommand(f *testing.F) {
	for _, seed := range transcriptSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		asked := 0
		c := commandReader{
			r:       wire.NewReader(bytes.NewReader(in), 0),
			proceed: func() error { asked++; return nil },
			refuse: func(name string) error {
				if name == "LOGIN" || name == "ID" {
					return nil
				}
				return bad("no literal here")
			},
		}
		for range len(in) + 1 {
			cmd, err := c.next()
			var r *reply
			if err != nil && !errors.As(err, &r) {
				return
			}
			if cmd.tag == "" || strings.ContainsAny(cmd.tag, "\r\n ") {
				t.Fatalf("tag %q", cmd.tag)
			}
			if err == nil {
				d := cmd.args
				d.SP()
				d.AString()
				d.SP()
				d.AString()
				_ = d.End()
			}
		}
		t.Fatalf("more commands than bytes; %d literals asked for", asked)
	})
}

// transcriptSeeds returns what the clients of all transcripts say.
func transcriptSeeds(tb testing.TB) (seeds [][]byte) {
	files, err := filepath.Glob("testdata/*.imap")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		p := &peer{}
		for line := range strings.SplitSeq(string(text), "\n") {
			if len(line) > 2 && line[0] == 'C' && (line[1] == ':' || line[1] == '=') {
				_ = p.say(line[1], strings.TrimPrefix(line[2:], " "))
			}
		}
		if p.unsent.Len() < 4<<10 {
			seeds = append(seeds, p.unsent.Bytes())
		}
	}
	return seeds
}
