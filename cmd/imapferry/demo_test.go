package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

func TestDemo(t *testing.T) {
	tests := map[string]struct {
		args     []string
		fidelity string
	}{
		"memory":  {[]string{"demo", "--once", "--messages", "300"}, "translated"},
		"dovecot": {[]string{"demo", "--once", "--messages", "200", "--dovecot"}, "exact"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "dovecot" {
				testbed.Need(t, "dovecot", "doveadm")
			}
			code, stdout, stderr := ferry(t, test.args...)
			if code != done || !strings.Contains(stdout, "\ndifferences found: 0\n") {
				t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
			}
			if !strings.Contains(stdout, "\nfidelity    "+test.fidelity+":") {
				t.Errorf("want fidelity %s\n%s", test.fidelity, stdout)
			}
		})
	}
}

func TestDemoMisuse(t *testing.T) {
	for _, args := range [][]string{{"demo", "--messages", "0"}, {"demo", "--messages", "x"}, {"demo", "alice"}, {"demo", "--fast"}} {
		if code, _, stderr := ferry(t, args...); code != misuse || stderr == "" {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}

// TestDemoStays goes by the lines that the demo prints for those who want to look themselves.
func TestDemoStays(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"demo", "--messages", "50"}, w, &stderr)
		w.Close()
	}()
	status := regexp.MustCompile(`imapferry (status \S+ --admin \S+)\n`)
	var text strings.Builder
	for buf := make([]byte, 4<<10); !status.MatchString(text.String()); {
		n, err := r.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("ended: %v\n%s%s", err, text.String(), stderr.String())
		}
	}
	args := strings.Fields(status.FindStringSubmatch(text.String())[1])
	if code, stdout, stderr := ferry(t, args...); code != done || !strings.Contains(stdout, "migrated") {
		t.Errorf("%v: exit %d\n%s%s", args, code, stdout, stderr)
	}
	tls := regexp.MustCompile(`-CAfile (\S+) -connect (\S+)\n`).FindStringSubmatch(text.String())
	if tls == nil {
		t.Fatalf("no address to connect to:\n%s", text.String())
	}
	if _, err := testbed.Snapshot(t.Context(), tls[2], demoUser, demoPassword, testbed.WithCA(tls[1])); err != nil {
		t.Errorf("log in by hand: %v", err)
	}
	stop()
	go io.Copy(io.Discard, r)
	if code := <-ended; code != done {
		t.Errorf("exit %d after Ctrl-C: %s", code, stderr.String())
	}
}

// TestDemoFindsDifferences changes the target behind the proxy's back after the switch: a comparison that finds
// nothing proves nothing.
func TestDemoFindsDifferences(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	d := &demonstration{messages: 150, screen: newScreen(&out), log: &tail{}}
	defer d.close()
	if err := d.open(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := d.cross(ctx); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), d.log)
	}
	if wrong, _, err := d.compare(ctx); err != nil || len(wrong) > 0 {
		t.Fatalf("before: %v %v", wrong, err)
	}
	want := tamper(ctx, t, d)
	err := d.finish(ctx)
	if code := exitCode(command{name: "demo"}, err, io.Discard, io.Discard); !errors.Is(err, errFailed) || code != failed {
		t.Errorf("finish: %v, exit %d", err, code)
	}
	for _, line := range want {
		for _, where := range []string{"in the target: ", "through the proxy: "} {
			if !strings.Contains(out.String(), "  "+where+line) {
				t.Errorf("not told: %s%s", where, line)
			}
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// tamper changes one thing of each kind in the target and returns how each line about it begins.
func tamper(ctx context.Context, t *testing.T, d *demonstration) (lines []string) {
	t.Helper()
	c, err := testbed.Login(ctx, d.servers.target, demoUser, demoPassword)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do := func(parts ...any) []testbed.Response {
		t.Helper()
		replies, err := c.Do(parts...)
		if err != nil {
			t.Fatalf("%v: %v", parts, err)
		}
		return replies
	}
	do("SELECT Archive")
	do("UID STORE 1 FLAGS (planted)")
	do("UID STORE 2 FLAGS (\\Deleted)")
	do("UID EXPUNGE 2")
	do("UNSUBSCRIBE Archive")
	stranger, err := c.Append("Trash", testbed.Mail{Body: "Subject: stranger\r\n\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	do("SELECT Templates")
	mails := do("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
	do("UNSELECT")
	do("DELETE Templates")
	do("CREATE Templates")
	do("SUBSCRIBE Templates")
	for _, r := range mails {
		if len(r.Values) == 3 && r.Values[1].Text == "FETCH" {
			m := mailOf(r.Values[2].List)
			if r.Values[0].Text == "2" {
				m.Body = strings.Replace(m.Body, "\r\n\r\n", "\r\n\r\nX", 1)
			}
			if _, err := c.Append("Templates", m); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []string{
		"Archive uid 1: flags [", "Archive uid 2: only in the first", "Archive: subscribed only in the first",
		fmt.Sprintf("Trash uid %d: only in the second", stranger), "Templates uid 2: BODY[] ",
	}
}

func mailOf(items []testbed.Value) (m testbed.Mail) {
	for i := 0; i+1 < len(items); i += 2 {
		switch v := items[i+1]; items[i].Text {
		case "FLAGS":
			for _, f := range v.List {
				m.Flags = strings.TrimSpace(m.Flags + " " + f.Text)
			}
		case "INTERNALDATE":
			m.Date = v.Text
		case "BODY[]":
			m.Body = v.Text
		}
	}
	return m
}
