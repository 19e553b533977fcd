package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"imapferry/internal/wire"
	"imapferry/state/boltstate"
)

// bodyFirst lets a source send bodies before all else that it was asked for, as RFC 9051 lets it, and counts those that came
// without need.
func (f *fake) bodyFirst(folder string) (inVain *atomic.Int32) {
	inVain = &atomic.Int32{}
	f.hook = func(verb, args string) (string, bool) {
		if verb != "UID FETCH" || !strings.Contains(args, "BODY.PEEK[]") {
			return "", false
		}
		if strings.Contains(args, "INTERNALDATE") {
			inVain.Add(1)
		}
		var all strings.Builder
		f.do(func() {
			text, items, _ := strings.Cut(args, " ")
			set, _ := wire.ParseSet(text)
			items = strings.NewReplacer("(", "", ")", "", " BODY.PEEK[]", "").Replace(items)
			for i, m := range f.folders[folder].mail {
				if set.Contains(m.uid) {
					fmt.Fprintf(&all, "* %d FETCH (%s X-MORE (a {1}\r\nb \"c\") %s)\r\n", i+1, m.items("BODY.PEEK[]"), m.items(items))
				}
			}
		})
		return all.String() + "%t OK done\r\n", true
	}
	return inVain
}

// TestBodyBeforeUID: a source that sends bodies before it says whose they are is copied as it is, one message at a time, and does
// not send a whole folder in vain (I1, I9).
func TestBodyBeforeUID(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		t.Run(caps, func(t *testing.T) {
			s := one(newStage(t, caps))
			s.src.deliver("INBOX", 1, 2, 5, 9, 40)
			s.src.do(func() {
				box := s.src.folders["INBOX"].mail
				box[1].body = "quoted \"\\ \x00\xff\r\nUID 5)\r\n"
				box[3].body = strings.Repeat("0123456789abcd\r\n", 1<<17)
			})
			inVain := s.src.bodyFirst("INBOX")
			s.wrap = func(b *boltstate.Store) Store { // mail comes in the tail and under the hold, too
				return &eventful{Store: b, before: func() { s.src.deliver("INBOX", 41, 50) }, held: func() { s.src.deliver("INBOX", 51) }}
			}
			s.start()
			s.migrated()
			s.excepted()
			if n := inVain.Load(); n != 1 {
				t.Errorf("%d answers were in vain", n)
			}
			s.pass()
			s.src.give("INBOX", `\Flagged`, "Message-ID: <late@x>\r\n\r\nlate\r\n")
			s.src.give("INBOX", "", "Message-ID: <later@x>\r\n\r\nlater\r\n")
			s.pass()
			s.once()
			s.excepted()
		})
	}
}

// TestBodyBeforeUIDUnderHold: the first mail of a lease comes while sessions are held. The cutover is called off, and done the next
// time (I5).
func TestBodyBeforeUIDUnderHold(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.bodyFirst("INBOX")
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, before: func() {}, held: func() { s.src.deliver("INBOX", 7) }}
	}
	s.start()
	s.failing("cutover called off", "before it says of which message it is")
	s.engine.Wake("alice")
	s.migrated()
	s.excepted()
}

// answering lets a source that sends bodies first give this answer for the body of uid 2.
func (f *fake) answering(answer string) {
	f.bodyFirst("INBOX")
	right := f.hook
	f.hook = func(verb, args string) (string, bool) {
		if verb == "UID FETCH" && strings.HasPrefix(args, "2 (") && strings.Contains(args, "BODY.PEEK[]") {
			return answer + "%t OK done\r\n", true
		}
		return right(verb, args)
	}
}

// TestBodyOfAnother: where a body turns out to be of another message than was asked for, nothing of it is taken for that message:
// it is as good as unreadable (I10).
func TestBodyOfAnother(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		for name, answer := range map[string]string{
			"other":  "* 2 FETCH (BODY[] {5}\r\nwrong FLAGS () UID 3 INTERNALDATE \"" + fakeDate + "\")\r\n",
			"quoted": "* 2 FETCH (BODY[] \"wrong\" FLAGS () UID 3)\r\n",
			"none":   "* 2 FETCH (BODY[] {5}\r\nwrong FLAGS ())\r\n",
			"broken": "* 2 FETCH (BODY[] {5}\r\nwrong UID x)\r\n",
			"NIL":    "* 2 FETCH (BODY[] NIL UID 2)\r\n",
			"no":     "* 2 FETCH (UID 2)\r\n",
		} {
			t.Run(caps+" "+name, func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, caps))
				s.src.deliver("INBOX", 1, 2, 3)
				s.src.answering(answer)
				s.start()
				s.held("1 exception: 1 unreadable")
				s.excepted("INBOX 2 unreadable")
				s.sound()
				for _, m := range s.dst.folders["INBOX"].mail {
					if m.body == "wrong" {
						t.Errorf("the target has %q as uid %d", m.body, m.uid)
					}
				}
			})
		}
	}
}

// TestBodyTwice: a source that sends two bodies for one message holds the user, as it does where the UID comes first.
func TestBodyTwice(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2, 3)
	s.src.answering(strings.Repeat("* 2 FETCH (BODY[] {5}\r\nwrong UID 2)\r\n", 2))
	s.start()
	s.held("uid 2: the source sends more bodies than it was asked for")
}
