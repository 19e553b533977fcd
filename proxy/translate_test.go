package proxy

import (
	"strings"
	"testing"

	"imapferry/state"
)

func TestTranslateStatus(t *testing.T) {
	v := newTranslator(map[string]state.Folder{
		"Inbox": {UIDValidity: 111, TargetUIDValidity: 222},
		"a(b":   {UIDValidity: 4294967295, TargetUIDValidity: 1},
		"none":  {TargetUIDValidity: 5},
	})
	tests := []struct{ in, want string }{
		{"* STATUS INBOX (UIDVALIDITY 222)\r\n", "* STATUS INBOX (UIDVALIDITY 111)\r\n"},
		{"* STATUS \"a(b\" (UIDNEXT 1 UIDVALIDITY 1)\n", "* STATUS \"a(b\" (UIDNEXT 1 UIDVALIDITY 4294967295)\n"},
		{"* STATUS {3}\r\na(b (UIDVALIDITY 1)\r\n", "* STATUS {3}\r\na(b (UIDVALIDITY 4294967295)\r\n"},
		{"* STATUS \"UIDVALIDITY 222\" (UIDVALIDITY 222)\r\n", "* STATUS \"UIDVALIDITY 222\" (UIDVALIDITY 222)\r\n"},
		{"* STATUS INBOX (MESSAGES 222 XUIDVALIDITY 222)\r\n", "* STATUS INBOX (MESSAGES 222 XUIDVALIDITY 222)\r\n"},
		{"* STATUS INBOX (UIDVALIDITY 22222222222)\r\n", "* STATUS INBOX (UIDVALIDITY 22222222222)\r\n"},
		{"* STATUS none (UIDVALIDITY 5)\r\n", "* STATUS none (UIDVALIDITY 5)\r\n"},
		{"* STATUS INBOX\r\n", "* STATUS INBOX\r\n"},
		{"* STATUS INBOX (" + strings.Repeat("\xff", 100) + " UIDVALIDITY 222)\r\n", "* STATUS INBOX (" + strings.Repeat("\xff", 100) + " UIDVALIDITY 111)\r\n"},
		{"* STATUS \"open (UIDVALIDITY 222)\r\n", "* STATUS \"open (UIDVALIDITY 222)\r\n"},
	}
	for _, tt := range tests {
		if got := string(v.status([]byte(tt.in))); got != tt.want {
			t.Errorf("status(%q) = %q; want %q", tt.in, got, tt.want)
		}
	}
}

// TestTranslateBounds sends STATUS responses over the bound: they pass as they are, in bounded memory.
func TestTranslateBounds(t *testing.T) {
	for _, resp := range []string{
		"* STATUS \"" + strings.Repeat("x", 2*maxGather) + "\" (UIDVALIDITY 222)\r\n",
		"* STATUS {140000}\r\n" + strings.Repeat("\n", 140000) + " (UIDVALIDITY 222)\r\n",
	} {
		if got := fuzzServer(t, []byte(resp), relayConfig{Views: fuzzViews}); got != resp {
			t.Errorf("client heard %d bytes; want %d, first difference at %d", len(got), len(resp), differ(got, resp))
		}
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		more       bool
	}{
		{"SELECT", "a SELECT INBOX\r\n", []string{"INBOX"}, false},
		{"SELECT", "a select \"q\\\"x\" (CONDSTORE)\r\n", []string{"q\"x"}, false},
		{"SELECT", "a SELECT {3}\r\n", nil, true},
		{"SELECT", "a SELECT {0}\r\n", nil, true},
		{"SELECT", "a SELECT {3}\r\na b\r\n", []string{"a b"}, false},
		{"APPEND", "a APPEND in[box {30}\r\n", []string{"in[box"}, false},
		{"UID COPY", "a UID COPY 1:*,7 \"x y\"\r\n", []string{"x y"}, false},
		{"MOVE", "a MOVE $ x\r\n", []string{"x"}, false},
		{"RENAME", "a RENAME {1+}\r\nx {1}\r\n", nil, true},
		{"RENAME", "a RENAME {1+}\r\nx {1}\r\ny\r\n", []string{"x", "y"}, false},
		{"SELECT", "a SELECT\r\n", nil, false},
	}
	for _, tt := range tests {
		a := newArguments(tt.name)
		a.text = []byte(tt.text)
		names, more := a.parse()
		if strings.Join(names, "|") != strings.Join(tt.want, "|") || more != tt.more {
			t.Errorf("%q = %q, %v; want %q, %v", tt.text, names, more, tt.want, tt.more)
		}
	}
	if !newArguments("APPEND").wants(10) || newArguments("APPEND").wants(maxNames+1) || newArguments("NOOP").wants(1) {
		t.Error("wants is wrong")
	}
}
