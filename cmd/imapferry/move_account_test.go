package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// stock fills an account: equal for all users but for the dates, by which their mailboxes are told apart.
func (m *moving) stock(t testing.TB, user string) {
	t.Helper()
	c := m.at(t, m.source, user)
	defer c.Close()
	date := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	var number int
	if _, err := fmt.Sscanf(user, "user%d", &number); err != nil {
		t.Fatal(err)
	}
	date = date.Add(time.Duration(number) * time.Hour)
	for _, folder := range []struct {
		name string
		n    int
	}{{"INBOX", 15}, {"Archive", 4}, {"Archive/2019", 2}, {"Sent", 2}, {"Entw&APw-rfe", 1}, {"Empty", 0}} {
		name := folder.name
		if name != "INBOX" {
			name = m.prefix + strings.ReplaceAll(name, "/", m.separator)
			m.do(t, c, "CREATE ", testbed.Quote(name))
			m.do(t, c, "SUBSCRIBE ", testbed.Quote(name))
		}
		for i := range folder.n {
			flags := []string{`\Seen`, "", `\Seen \Flagged`, `$Label2`, `\Deleted`}[i%5]
			if name != "INBOX" {
				flags = strings.ReplaceAll(flags, `\Deleted`, "")
			}
			mail := testbed.Mail{Flags: flags, Body: letter(fmt.Sprintf("%s %d", folder.name, i))}
			mail.Date = date.Add(time.Duration(i) * time.Minute).Format("02-Jan-2006 15:04:05 -0700")
			if _, err := c.Append(name, mail); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.do(t, c, "SELECT INBOX")
	m.do(t, c, "CLOSE") // the deleted ones leave gaps
}

func letter(subject string) string {
	id := strings.NewReplacer(" ", ".", "/", ".", "&", "").Replace(subject)
	return fmt.Sprintf("From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: %[1]s\r\n"+
		"Date: Fri, 01 Jan 2021 12:00:00 +0000\r\nMessage-ID: <%[2]s@example.org>\r\n\r\nThis is %[1]s.\r\n", subject, id)
}

// deliver puts a letter into a folder, past the node.
func (m *moving) deliver(t testing.TB, d imapServer, user, folder, subject string) {
	t.Helper()
	if _, err := testbed.Append(m.ctx, d.IMAP(), user, "pass", folder, testbed.Mail{Body: letter(subject)}); err != nil {
		t.Fatal(err)
	}
}

// at logs in to a server, past the node.
func (m *moving) at(t testing.TB, d imapServer, user string) *testbed.Client {
	t.Helper()
	c, err := testbed.Login(m.ctx, d.IMAP(), user, "pass")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (m *moving) do(t testing.TB, c *testbed.Client, parts ...any) []testbed.Response {
	t.Helper()
	all, err := c.Do(parts...)
	if err != nil {
		t.Fatalf("%v: %v", parts[0], err)
	}
	return all
}

// changeBoth changes mail on the server and in the client's Maildir: new messages, flags, and messages that go.
func (m *moving) changeBoth(t testing.TB, user, mail string) {
	t.Helper()
	c := m.at(t, m.source, user)
	defer c.Close()
	m.do(t, c, "APPEND INBOX (\\Flagged) ", testbed.Literal(letter("fresh 1")), " () ", testbed.Literal(letter("fresh 2")))
	m.do(t, c, "APPEND Archive/2019 () ", testbed.Literal(letter("fresh 3")))
	m.do(t, c, "SELECT Archive")
	m.do(t, c, `STORE 1 FLAGS (\Deleted)`)
	m.do(t, c, `EXPUNGE`)
	m.do(t, c, `STORE 1 +FLAGS (\Answered)`)

	write := func(folder, name, text string) {
		if err := os.WriteFile(filepath.Join(mail, folder, "cur", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Sent", "1700000000.1.here:2,S", strings.ReplaceAll(letter("written here"), "\r\n", "\n"))
	write("INBOX", "1700000000.2.here:2,", strings.ReplaceAll(letter("also written here"), "\r\n", "\n"))
	reflag(t, filepath.Join(mail, "INBOX", "cur"), "This is INBOX 1.", "F")
	reflag(t, filepath.Join(mail, "INBOX", "cur"), "This is INBOX 5.", "ST")
	reflag(t, filepath.Join(mail, "Sent", "cur"), "This is Sent 0.", "RS")
}

// reflag gives the message that holds text other flags.
func reflag(t testing.TB, dir, text, flags string) {
	t.Helper()
	for _, sub := range []string{"cur", "new"} {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(dir), sub, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), text) {
				continue
			}
			unique, _, _ := strings.Cut(filepath.Base(file), ":")
			if err := os.Rename(file, filepath.Join(dir, unique+":2,"+flags)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no message in %s holds %q", dir, text)
}

// contents is all that an account holds, in a form that is equal for equal accounts of any user.
func (m *moving) contents(t testing.TB, d imapServer, user string) []string {
	t.Helper()
	a, err := testbed.Snapshot(m.ctx, d.IMAP(), user, "pass")
	if err != nil {
		t.Fatal(err)
	}
	c := m.at(t, d, user)
	defer c.Close()
	lines := []string{fmt.Sprint("subscribed ", a.Subscribed)}
	for name, f := range a.Folders {
		lines = append(lines, fmt.Sprintf("%s uidnext %d", name, f.UIDNext))
		if len(f.Messages) == 0 {
			continue
		}
		m.do(t, c, "EXAMINE ", testbed.Quote(name))
		for _, r := range m.do(t, c, "UID FETCH 1:* (BODY.PEEK[])") {
			if len(r.Values) < 3 || r.Values[1].Text != "FETCH" {
				continue
			}
			uid, body := uint32(0), ""
			for i, item := range r.Values[2].List {
				switch item.Text {
				case "UID":
					_, err = fmt.Sscan(r.Values[2].List[i+1].Text, &uid)
				case "BODY[]":
					body = r.Values[2].List[i+1].Text
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprintf("%s uid %d (%s) %s", name, uid, f.Messages[uid].Flags, sumOf(body)))
		}
	}
	return lines
}

var tuid = regexp.MustCompile(`(?m)^X-TUID: .*\r?\n`)

// sumOf is the checksum of a message, without the line of random letters that mbsync adds to what it copies.
func sumOf(body string) string {
	sum := sha256.Sum256([]byte(tuid.ReplaceAllString(body, "")))
	return fmt.Sprintf("%.6x", sum)
}

// differences are the lines that only one of both lists has.
func differences(want, got []string) string {
	var text strings.Builder
	count := map[string]int{}
	for _, line := range want {
		count[line]--
	}
	for _, line := range got {
		count[line]++
	}
	for _, line := range want {
		if count[line] < 0 {
			count[line]++
			fmt.Fprintf(&text, "- %s\n", line)
		}
	}
	for _, line := range got {
		if count[line] > 0 {
			count[line]--
			fmt.Fprintf(&text, "+ %s\n", line)
		}
	}
	return text.String()
}
