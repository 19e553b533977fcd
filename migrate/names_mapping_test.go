package migrate

import (
	"strings"
	"testing"

	"imapferry/internal/wire"
)

var (
	courier = naming{"INBOX.", '.'}
	slashed = naming{"", '/'}
	namings = []naming{courier, slashed, {"", '.'}, {"INBOX/", '/'}, {"Mail/", '/'}, {"", 0}, {"", '\\'}}
)

func TestMapping(t *testing.T) {
	for _, test := range []struct {
		m              mapping
		source, target string
	}{
		{mapping{courier, slashed}, "INBOX", "INBOX"},
		{mapping{courier, slashed}, "INBOX.Sent", "Sent"},
		{mapping{courier, slashed}, "INBOX.Work.a/b", "Work/a=2Fb"},
		{mapping{courier, slashed}, "INBOX.Work.Entw&APw-rfe", "Work/Entw&APw-rfe"},
		{mapping{courier, slashed}, "INBOX.50=2F", "50=3D2F"},
		{mapping{courier, slashed}, "INBOX.a=b", "a=b"},
		{mapping{courier, slashed}, "INBOX.Inbox", "=49nbox"},
		{mapping{courier, slashed}, "INBOX.INBOX.child", "INBOX/child"},
		{mapping{courier, slashed}, "public.News", "=00public/News"},
		{mapping{slashed, courier}, "Sent", "INBOX.Sent"},
		{mapping{slashed, courier}, "INBOX/child", "INBOX.INBOX.child"},
		{mapping{slashed, courier}, "v1.2/x", "INBOX.v1=2E2.x"},
		{mapping{slashed, naming{"", '.'}}, "a.b/c", "a=2Eb.c"},
		{mapping{slashed, naming{"", 0}}, "a/b", "a/b"},
		{mapping{naming{"", 0}, slashed}, "a/b", "a=2Fb"},
		{mapping{courier, courier}, "INBOX.a=3D", "INBOX.a=3D"},
		{mapping{courier, slashed}, "\x00x=41", "x=41"}, // made at the target, where nothing needs an escape
		{mapping{slashed, courier}, "\x00Else", "Else"},
	} {
		if got := test.m.target(test.source); got != test.target {
			t.Errorf("%v: target(%q) = %q; want %q", test.m, test.source, got, test.target)
		}
		if got := test.m.source(test.target); got != test.source {
			t.Errorf("%v: source(%q) = %q; want %q", test.m, test.target, got, test.source)
		}
	}
}

// FuzzMapping: every name has its own on the other side, whichever side it comes from (I2).
func FuzzMapping(f *testing.F) {
	for _, name := range []string{"INBOX.Sent", "a/b.c", "=00x", "=3D2F", "inbox", "=49NBOX", "INBOX.", "INBOX.inbox", "a//b..", "=2", "=+1", "Mail/INBOX", "a\\b", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		name = wire.CanonicalName(name)
		if name == "" || strings.Contains(name, "\x00") {
			t.Skip("no IMAP name")
		}
		for _, src := range namings {
			for _, dst := range namings {
				m := mapping{src, dst}
				there := m.target(name)
				if back := m.source(wire.CanonicalName(there)); back != name {
					t.Errorf("%v: %q is %q at the target, which is %q at the source", m, name, there, back)
				}
				here := m.source(name)
				if forth := m.target(here); forth != name {
					t.Errorf("%v: the target's %q is %q at the source, which is %q at the target", m, name, here, forth)
				}
			}
		}
	})
}
