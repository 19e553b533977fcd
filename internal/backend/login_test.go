package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

const greeting = "S * OK [CAPABILITY IMAP4rev1] ready"

func TestLoginOwn(t *testing.T) {
	const done = "S f1 OK [CAPABILITY IMAP4rev1 IDLE] in"
	tests := []struct {
		name, user, secret string
		lines              []string
	}{
		{"quoted", "alice", `p"a\s`, []string{greeting, `C f1 LOGIN "alice" "p\"a\\s"`, done}},
		// A server without AUTH=PLAIN takes 8-bit passwords by literals alone.
		{"literals", "älice", "pässword", []string{greeting, "C f1 LOGIN {6}", "S + go", "C älice {9}", "S + go", "C pässword", done}},
		{"literal secret", "alice", "pässword", []string{greeting, `C f1 LOGIN "alice" {9}`, "S + go", "C pässword", done}},
		{"sasl", "alice", "secret", []string{"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready", "C f1 AUTHENTICATE PLAIN", "S + ", "C AGFsaWNlAHNlY3JldA==", done}},
		{"sasl-ir", "alice", "secret", []string{"S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready", "C f1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", done}},
		{"untagged capabilities", "alice", "x", []string{greeting, `C f1 LOGIN "alice" "x"`, "S * CAPABILITY IMAP4rev1 IDLE", "S f1 OK in"}},
		{"capabilities asked for", "alice", "x", []string{greeting, `C f1 LOGIN "alice" "x"`, "S f1 OK in", "C f2 CAPABILITY", "S * CAPABILITY IMAP4rev1 IDLE", "S f2 OK done"}},
		{"no capabilities in the greeting", "alice", "x", []string{"S * OK ready", "C f1 CAPABILITY", "S * CAPABILITY IMAP4rev1", "S f1 OK done", `C f2 LOGIN "alice" "x"`, "S f2 OK [CAPABILITY IMAP4rev1 IDLE] in"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, script(t, tt.lines...))
			if _, err := c.LoginOwn(t.Context(), tt.user, Secret(tt.secret)); err != nil {
				t.Fatal(err)
			}
			if want := (Caps{"IMAP4REV1", "IDLE"}); !slices.Equal(c.Caps, want) {
				t.Errorf("Caps = %v; want %v", c.Caps, want)
			}
		})
	}
}

func TestLoginMethods(t *testing.T) {
	const ready = "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready"
	tests := []struct {
		method Method
		user   string
		line   string
	}{
		{Passthrough, "{user}", "AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA=="},          // alice@example.org secret
		{Master, "{local}", "YWxpY2UAbWFzdGVyAG1w"},                              // alice master mp
		{MasterSuffix, "{user}", "AGFsaWNlQGV4YW1wbGUub3JnKm1hc3RlcgBtcA=="},     // alice@example.org*master mp
		{Shared, "{local}@{domain}.new", "AGFsaWNlQGV4YW1wbGUub3JnLm5ldwBtcA=="}, // alice@example.org.new mp
	}
	for _, tt := range tests {
		t.Run(string(tt.method), func(t *testing.T) {
			cfg := script(t, ready, "C f1 AUTHENTICATE PLAIN "+tt.line, "S f1 OK [CAPABILITY IMAP4rev1] in")
			cfg.Login, cfg.User, cfg.MasterUser, cfg.MasterPassword = tt.method, tt.user, "master", "mp"
			if _, err := dial(t, cfg).Login(t.Context(), "alice@example.org", "secret"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLoginRefused(t *testing.T) {
	c := dial(t, script(t, greeting, `C f1 LOGIN "alice" "x"`, "S * NO [ALERT] last warning", "S f1 NO [EXPIRED] too old"))
	_, err := c.LoginOwn(t.Context(), "alice", "x")
	refusedAs(t, err, "NO", "EXPIRED", "too old")
	if got := c.Untagged(); len(got) != 1 || !strings.Contains(string(got[0]), "last warning") {
		t.Errorf("Untagged() = %q", got)
	}
	c = dial(t, script(t, greeting, `C f1 LOGIN "alice" "x"`, "S * BYE down"))
	_, err = c.LoginOwn(t.Context(), "alice", "x")
	refusedAs(t, err, "BYE", "", "down")
}

// A server that printed the command it had not liked put the password into the log of imapferry and the reason of the
// held user (I8).
func TestRefusalRepeatsSecret(t *testing.T) {
	const sasl = "S * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready"
	for _, tt := range []struct{ greeting, secret, sent, said string }{
		{greeting, "Secret", `C f1 LOGIN "alice" "Secret"`, `S f1 BAD unknown command: LOGIN "alice" "Secret"`},
		{greeting, `se"cret`, `C f1 LOGIN "alice" "se\"cret"`, `S f1 NO LOGIN "ALICE" "SE\"CRET" failed`},
		{greeting, "secret", `C f1 LOGIN "alice" "secret"`, `S f1 NO [X-LINE secret] failed`},
		{sasl, "secret", "C f1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", "S f1 BAD AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA=="},
		{greeting, "secret", `C f1 LOGIN "alice" "secret"`, "S * BYE secret"},
	} {
		_, err := dial(t, script(t, tt.greeting, tt.sent, tt.said)).LoginOwn(t.Context(), "alice", Secret(tt.secret))
		var r *Refused
		if !errors.As(err, &r) || strings.Contains(strings.ToLower(err.Error()), "cret") || strings.Contains(err.Error(), "AGFs") {
			t.Errorf("%s: %v", tt.said, err)
		} else if r.Said() == "" || !strings.HasSuffix(tt.said, r.Said()) {
			t.Errorf("%s: the client would hear %q", tt.said, r.Said())
		}
	}
}

// A NUL would end a field of PLAIN and begin another: it is refused before anything is sent.
func TestLoginNUL(t *testing.T) {
	c := dial(t, script(t, greeting))
	for _, cred := range [][2]string{{"alice\x00bob", "x"}, {"alice", "x\x00y"}} {
		if _, err := c.LoginOwn(t.Context(), cred[0], Secret(cred[1])); !errors.Is(err, ErrNUL) {
			t.Errorf("%q: %v", cred, err)
		}
	}
	if _, err := c.Login(t.Context(), "alice", ""); !errors.Is(err, ErrNoSecret) {
		t.Errorf("no secret: %v", err)
	}
}

// I8: whatever prints a secret prints "redacted".
func TestSecret(t *testing.T) {
	s := Secret("hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "cfg", Config{MasterPassword: s})
	all := fmt.Sprintf("%s %v %+v %#v %q", s, s, Config{MasterPassword: s}, Config{MasterPassword: s}, s) + log.String()
	if strings.Contains(all, "hunter2") {
		t.Errorf("shown: %s", all)
	}
}
