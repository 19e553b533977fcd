package migrate

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/internal/wire"
)

// setOf writes UIDs as an IMAP set.
func setOf(uids []uint32) string {
	var s wire.Set
	for _, u := range uids {
		s.Add(u)
	}
	return s.String()
}

// mailFile finds the file of a message in the target's Maildir.
func (x *crossing) mailFile(folder string, uid uint32) string {
	x.t.Helper()
	c, err := testbed.Login(x.ctx, x.dst.IMAP(), "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("EXAMINE ", folder); err != nil {
		x.t.Fatal(err)
	}
	text := body(x, c, uid)
	found := ""
	err = filepath.WalkDir(filepath.Join(x.dst.MailDir, "alice"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) != "cur" {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.ReplaceAll(string(b), "\r\n", "\n") == strings.ReplaceAll(text, "\r\n", "\n") {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		x.t.Fatalf("no file for uid %d of %s: %v", uid, folder, err)
	}
	return found
}

// forget makes the target forget what it has cached of messages, so that it looks into the files.
func (x *crossing) forget() {
	x.t.Helper()
	err := filepath.WalkDir(filepath.Join(x.dst.MailDir, "alice"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "dovecot.index.cache" {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// age gives a message of the target another date, 2001-02-03 04:05:06.
func (x *crossing) age(folder string, uid uint32) {
	x.t.Helper()
	then := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(x.mailFile(folder, uid), then, then); err != nil {
		x.t.Fatal(err)
	}
	x.forget()
}

// forge changes the last letter of a message of the target, and keeps its date and size.
func (x *crossing) forge(folder string, uid uint32) {
	x.t.Helper()
	path := x.mailFile(folder, uid)
	info, err := os.Stat(path)
	if err != nil {
		x.t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	text[len(bytes.TrimRight(text, "\r\n"))-1] ^= 1
	if err := os.WriteFile(path, text, 0); err != nil {
		x.t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		x.t.Fatal(err)
	}
	x.forget()
}

// renumber gives a folder of the target another UIDVALIDITY.
func (x *crossing) renumber(folder string, v uint32) {
	x.t.Helper()
	if _, err := x.dst.Doveadm(x.ctx, "mailbox", "update", "-u", "alice", "--uid-validity", fmt.Sprint(v), folder); err != nil {
		x.t.Fatal(err)
	}
}

// TestUIDsInLines: a long set is told in lines that a person can read, none of its messages twice.
func TestUIDsInLines(t *testing.T) {
	var got wire.Set
	lines := 0
	v := verification{report: func(d Difference) {
		lines++
		part, err := wire.ParseSet(d.UIDs)
		if err != nil || len(d.UIDs) > maxUIDText || part.Len() != d.Messages {
			t.Errorf("%v, %d messages in %q", err, d.Messages, d.UIDs)
		}
		for _, r := range part {
			got.AddRange(r.From, r.To)
		}
	}}
	var want wire.Set
	for uid := uint32(1); uid < 10_000; uid += 2 {
		want.Add(uid)
	}
	v.sayUIDs(Difference{Kind: KindMissing}, want)
	if got.String() != want.String() || lines < 2 || v.sum.Differences != lines {
		t.Errorf("%d lines, summary %+v; the sets differ: %v", lines, v.sum, got.String() != want.String())
	}
}

// TestCompareAtBound: above the bound equal UIDs mean nothing, and what differs below it is told with both values.
func TestCompareAtBound(t *testing.T) {
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	src := listing{{uid: 1, date: day}, {uid: 2, date: day, flags: `\Seen`}, {uid: 5, date: day}}
	dst := listing{{uid: 1, date: day.Add(time.Second)}, {uid: 2, date: day.In(time.FixedZone("", 3600)), flags: `\SEEN`}, {uid: 5, date: day.Add(time.Hour)}, {uid: 6}}
	d := compare(src, dst, 5)
	if d.dates.String() != "1" || len(d.flags) > 0 || len(d.extra) > 0 || len(d.missing) > 0 {
		t.Errorf("difference %s", &d)
	}
	if late := uidsFrom(src, 5); late.String() != "5" {
		t.Errorf("late %s", late)
	}
	if src.find(3) != nil || src.find(5).uid != 5 {
		t.Error("find")
	}
}

// TestVerifyUnreadable: a message that the source does not give any more is one difference, and all others are compared (I10).
func TestVerifyUnreadable(t *testing.T) {
	for how, mangle := range map[string]func(verb, answer string) string{
		"NIL": nilBody(2),
		"BYE": func(verb, answer string) string {
			if before, _, ok := strings.Cut(answer, "* 2 FETCH (UID 2 BODY[] {"); ok {
				return before + "* BYE corrupt\r\n"
			}
			return answer
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.src.deliver("INBOX", 1, 2, 3, 4)
			s.start()
			s.migrated()
			s.src.do(func() { s.src.mangle = mangle })
			s.dst.do(func() { s.dst.folders["INBOX"].mail[3].body = "spoilt\r\n\r\n" })
			var lines []string
			sum, err := s.engine.Verify(s.ctx, "alice", VerifyOptions{Bodies: VerifyAll}, func(d Difference) {
				if d.Kind == KindBody {
					lines = append(lines, d.String())
				}
			})
			if err != nil || !sum.Complete || sum.BodiesRead != 3 || sum.Differences != 2 || len(lines) != 2 {
				t.Fatalf("%v, %+v: %q", err, sum, lines)
			}
			if !strings.Contains(lines[0], "uid 2: cannot be compared") || !strings.Contains(lines[1], "uid 4: the target's message differs") {
				t.Errorf("told %q", lines)
			}
		})
	}
}
