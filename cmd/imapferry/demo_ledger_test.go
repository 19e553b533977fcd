package main

import (
	"fmt"
	"strings"
	"testing"

	"imapferry/internal/testbed"
)

// folderOf makes an account with one folder, from UIDs with flags; the body of a message is its first flag.
func folderOf(text string) *testbed.Account {
	f := &testbed.Folder{Messages: map[uint32]testbed.Message{}, UIDValidity: 7, UIDNext: 10}
	for _, part := range strings.Fields(text) {
		var uid uint32
		flags := ""
		fmt.Sscanf(strings.Replace(part, ":", " ", 1), "%d %s", &uid, &flags)
		body, _, _ := strings.Cut(flags, ",")
		f.Messages[uid] = testbed.Message{Flags: strings.ReplaceAll(flags, ",", " "), Sum: body}
	}
	return &testbed.Account{Folders: map[string]*testbed.Folder{"INBOX": f}}
}

// TestLedger tells what counts as a difference after writes whose answers came or did not (I1).
func TestLedger(t *testing.T) {
	msg := func(flags string) testbed.Message { return folderOf("1:" + flags).Folders["INBOX"].Messages[1] }
	appended := demoWrite{folder: "INBOX", uid: 10, msg: msg("new")}
	flagged := demoWrite{folder: "INBOX", uid: 1, msg: msg("a,seen")}
	expunged := demoWrite{folder: "INBOX", uid: 2, gone: true}
	unknown := appended
	unknown.uid = 0

	tests := []struct {
		name           string
		acked, unsure  []demoWrite
		source, served string
		differences    int
	}{
		{"nothing written", nil, nil, "1:a 2:b", "1:a 2:b", 0},
		{"lost in the target", nil, nil, "1:a 2:b", "1:a", 1},
		{"written after the switch", []demoWrite{appended, flagged, expunged}, nil, "1:a 2:b", "1:a,seen 10:new", 0},
		{"written before the switch", []demoWrite{appended, flagged, expunged}, nil, "1:a,seen 10:new", "1:a,seen 10:new", 0},
		{"acknowledged and in the source alone", []demoWrite{appended}, nil, "1:a 2:b 10:new", "1:a 2:b", 1},
		{"acknowledged and nowhere", []demoWrite{appended, flagged, expunged}, nil, "1:a 2:b", "1:a 2:b", 3},
		{"unanswered and done", nil, []demoWrite{unknown, flagged, expunged}, "1:a 2:b", "1:a,seen 10:new", 0},
		{"unanswered and not done", nil, []demoWrite{unknown, flagged, expunged}, "1:a 2:b", "1:a 2:b", 0},
		{"unanswered, done in the source, lost", nil, []demoWrite{unknown}, "1:a 2:b 10:new", "1:a 2:b", 1},
		{"unanswered, done twice", nil, []demoWrite{unknown}, "1:a 2:b", "1:a 2:b 10:new 11:new", 1},
		{"unanswered, and something else happened", nil, []demoWrite{flagged}, "1:a 2:b", "1:a,draft 2:b", 1},
		{"not the client's", nil, nil, "1:a 2:b", "1:a 2:b 10:new", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(folderOf("1:a 2:b"))
			for _, w := range test.acked {
				l.done(w)
			}
			l.unsure = test.unsure
			served := folderOf(test.served)
			got := testbed.Diff(l.expected(folderOf(test.source), served), served, testbed.DiffOptions{})
			messages := map[string]bool{} // one message may differ in several ways
			for _, line := range got {
				where, _, _ := strings.Cut(line, ": ")
				messages[where] = true
			}
			if len(messages) != test.differences {
				t.Errorf("%d differences, want %d: %q", len(messages), test.differences, got)
			}
		})
	}
}
