package testbed

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The odd account is made on every server, says what was refused, and reads the
// same twice. Where there is a backdoor, UIDs are exactly those asked for.
func TestTorture(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	tests := map[string]struct {
		start  func(t *testing.T) imapServer
		prefix string
		refuse string // one that this server alone makes
		files  int
	}{
		"maildir": {func(t *testing.T) imapServer { return dovecot(t, DovecotOptions{}) }, "", `create "dot.in.it": NO [CANNOT] Character`, 13},
		"mdbox":   {func(t *testing.T) imapServer { return dovecot(t, DovecotOptions{Format: "mdbox"}) }, "", `create "dbox-Mails": NO`, 0},
		"cyrus":   {func(t *testing.T) imapServer { return cyrus(t, CyrusOptions{}) }, "INBOX.", `append to "INBOX.Messages": a NUL byte: NO`, 0},
		"courier": {func(t *testing.T) imapServer { return courier(t, CourierOptions{}) }, "INBOX.", `create "INBOX.slash/in/it": NO`, 13},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := test.start(t)
			backdoor, _ := s.(Backdoor)
			refusals := torture(t, s, TortureSpec{Backdoor: backdoor})
			if !slices.ContainsFunc(refusals, func(r string) bool { return strings.HasPrefix(r, test.refuse) }) {
				t.Errorf("refusals lack %q:\n%s", test.refuse, strings.Join(refusals, "\n"))
			}
			a := plainly(t, s, "alice")
			same(t, a, plainly(t, s, "alice"), steady(test.prefix))
			if f := a.Folders[test.prefix+"Empty at 5000"]; f == nil || f.UIDNext != 5000 || len(f.Messages) != 0 {
				t.Errorf("Empty at 5000: %+v", f)
			}
			if backdoor != nil {
				jumped(t, a, test.prefix)
			}
			if f := a.Folders[test.prefix+"Files"]; f == nil || len(f.Messages) != test.files {
				t.Errorf("Files: %+v; want %d messages", f, test.files)
			}
			if d, ok := s.(*Dovecot); ok {
				if log, err := os.ReadFile(d.logs[0]); err != nil || strings.Contains(string(log), "corrupt") {
					t.Errorf("indexes are corrupt, or the log cannot be read: %v", err)
				}
			}
		})
	}
}

func torture(t *testing.T, s imapServer, spec TortureSpec) []string {
	t.Helper()
	began := time.Now()
	refusals, err := Torture(t.Context(), s.IMAP(), "alice", "pass", spec)
	if err != nil {
		t.Fatalf("%v, after %q", err, refusals)
	}
	t.Logf("made in %s, %d things refused", time.Since(began), len(refusals))
	return refusals
}

func plainly(t *testing.T, s imapServer, user string) *Account {
	t.Helper()
	a, err := Snapshot(t.Context(), s.IMAP(), user, "pass")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func steady(prefix string) DiffOptions {
	return DiffOptions{IgnoreFolder: func(name string) bool { return name == prefix+UnsteadyFolder }}
}

func jumped(t *testing.T, a *Account, prefix string) {
	t.Helper()
	for name, want := range map[string][]uint32{
		"Gaps":      {100_000, 100_001, 1 << 20, 1<<20 + 1, 1<<31 - 1, 1 << 31, 1<<31 + 1000, 1<<31 + 1001},
		"Last UIDs": {1<<32 - 5, 1<<32 - 4},
	} {
		f := a.Folders[prefix+name]
		if f == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := slices.Sorted(maps.Keys(f.Messages)); !slices.Equal(got, want) {
			t.Errorf("%s: UIDs %d; want %d", name, got, want)
		}
	}
}

// The same seed makes the same account, on any server of a make; with the
// options too.
func TestTortureIsDeterministic(t *testing.T) {
	t.Parallel()
	Need(t, "dovecot", "doveadm")
	large := 3 << 20
	if _, soak := Soak(t); soak {
		large = 30 << 20
	}
	var accounts []*Account
	var lists [][]string
	for range 2 {
		d := dovecot(t, DovecotOptions{Format: "mdbox"})
		lists = append(lists, torture(t, d, TortureSpec{Seed: 7, Folders: 100, Large: large, Backdoor: d}))
		accounts = append(accounts, plainly(t, d, "alice"))
	}
	if !slices.Equal(lists[0], lists[1]) {
		t.Errorf("refused\n%q\nand\n%q", lists[0], lists[1])
	}
	opt := steady("")
	opt.IgnoreUIDValidity = true // the time of its making
	noDates(accounts[0], accounts[1])
	same(t, accounts[0], accounts[1], opt)
	if a := accounts[0]; a.Folders["Many/0099"] == nil || len(a.Folders["Many/0090"].Messages) != 1 {
		t.Error("the many folders are not there")
	}
}

// noDates takes away the dates of messages whose date was none, and became the
// time of their making.
func noDates(accounts ...*Account) {
	recent := time.Now().Add(-time.Hour)
	for _, a := range accounts {
		for _, f := range a.Folders {
			for uid, m := range f.Messages {
				if m.InternalDate.After(recent) && m.InternalDate.Before(recent.Add(2*time.Hour)) {
					m.InternalDate = time.Time{}
					f.Messages[uid] = m
				}
			}
		}
	}
}
