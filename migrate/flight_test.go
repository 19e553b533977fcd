package migrate

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// alike delivers messages with UIDs 1 to n that nothing tells apart but their bytes, or that have sizes of their own.
func (f *fake) alike(folder string, n int, sizes bool) {
	for uid := 1; uid <= n; uid++ {
		f.deliver(folder, uint32(uid))
	}
	f.do(func() {
		for i, m := range f.folders[folder].mail {
			m.body = fmt.Sprintf("Subject: number %03d\r\n\r\nbody\r\n", i+1)
			if sizes {
				m.body += strings.Repeat("\r\n", i)
			}
		}
	})
}

// refusesNumber lets the target refuse the message with that number, and say something more at the first time.
func (f *fake) refusesNumber(n int, more string) {
	subject := fmt.Sprintf("Subject: number %03d\r\n\r\nbody", n)
	f.do(func() {
		f.refuses = func(m *fakeMail) string {
			if !strings.HasPrefix(m.body, subject) {
				return ""
			}
			words := "NO no good" + more
			more = ""
			return words
		}
	})
}

// crossedBut waits for the switch and demands that every message but the refused one is at its own UID, and that one wrapped at its own.
func (s *stage) crossedBut(folder string, refused uint32) {
	s.t.Helper()
	s.crossed()
	s.excepted(fmt.Sprintf("%s %d refused", folder, refused))
	src, dst := s.src.folders[folder].mail, s.dst.folders[folder].mail
	if len(src) != len(dst) {
		s.t.Fatalf("%d messages instead of %d", len(dst), len(src))
	}
	for i := range src {
		if got := dst[i]; got.uid != src[i].uid || got.body != src[i].body && got.uid != refused || got.uid == refused && attached(s.t, got.body) != src[i].body {
			s.t.Errorf("uid %d has become uid %d: %q", src[i].uid, got.uid, got.body)
		}
	}
}

// hoard keeps back the answers to APPENDs until it has n of them. full says them, or nothing.
func hoard(n int, full func(answers []string) string) func(verb, answer string) string {
	var mu sync.Mutex
	var held []string
	return func(verb, answer string) string {
		if verb != "APPEND" {
			return answer
		}
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, answer); len(held) < n {
			return ""
		} else if len(held) > n {
			return answer
		}
		return full(held)
	}
}

// TestInFlight: a target without MULTIAPPEND is sent all messages of a folder, and what fills its gaps, before it has answered for the
// first one, and may answer in any order. It is asked before a literal only if it has to be.
func TestInFlight(t *testing.T) {
	for caps, asked := range map[string]int64{"LITERAL+": 0, "LITERAL-": 2, "MULTIAPPEND LITERAL-": 2} {
		t.Run(caps, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, caps))
			s.src.deliver("Work", 1, 2, 5, 6, 20)
			s.src.do(func() {
				for _, i := range []int{1, 4} {
					s.src.folders["Work"].mail[i].body = "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcd\r\n", 300)
				}
			})
			var all atomic.Int64
			s.dst.do(func() {
				s.dst.mangle = hoard(20, func(answers []string) string {
					all.Add(1)
					slices.Reverse(answers)
					return strings.Join(answers, "")
				})
			})
			s.start()
			s.migrated()
			if all.Load() != 1 || strings.Contains(s.log.String(), "level=WARN") {
				t.Errorf("not all APPENDs were under way at once")
			}
			if s.dst.asked.Load() != asked {
				t.Errorf("the target was asked before %d literals, want %d", s.dst.asked.Load(), asked)
			}
		})
	}
}

// idler answers an APPEND only when its client waits for an answer.
type idler struct {
	heard     bytes.Buffer // since the last look
	got, said int          // APPENDs and answers
	most      int          // APPENDs without an answer
}

func (i *idler) Write(b []byte) (int, error) { return i.heard.Write(b) }

func (i *idler) Read(b []byte) (int, error) {
	i.got += bytes.Count(i.heard.Bytes(), []byte(" APPEND "))
	i.heard.Reset()
	i.most = max(i.most, i.got-i.said)
	if i.said == i.got {
		return 0, io.ErrUnexpectedEOF
	}
	i.said++
	return copy(b, fmt.Sprintf("w%d OK [APPENDUID 7 %d] done\r\n", i.said, i.said)), nil
}

// TestWindow: what is under way at once is bounded in messages and in bytes, so that answers cannot fill the way back while a body
// fills the way there.
func TestWindow(t *testing.T) {
	const messages = 3 * flightWindow
	for size, most := range map[int64]int{100: flightWindow + 1, 900 << 10: batchBytes/(900<<10) + 1} {
		s := &idler{}
		c := &client{side: "target", caps: backend.Caps{"LITERAL+"}, d: wire.NewDecoder(wire.NewReader(s, 0), limits), w: bufio.NewWriter(s),
			sent: map[string]bool{}, done: map[string]result{}}
		a := &appender{dst: c, folder: "Work", next: 1, window: flightWindow, count: func(int64, int64) {}}
		for uid := range uint32(messages) {
			if err := a.add(&message{uid: uid + 1, raw: fakeDate}, size, strings.NewReader(strings.Repeat("x", int(size)))); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.flush(); err != nil || s.said != messages || s.most != most {
			t.Errorf("%d APPENDs of %d bytes were under way, want %d; %d were answered; %v", s.most, size, most, s.said, err)
		}
	}
}

// TestRefusedInFlight: a target without MULTIAPPEND refuses a message with others on their way behind it. Whatever it says beside that,
// and wherever a worker dies over it, each message has its own UID in the end (I1), and the folder is not copied anew without end.
func TestRefusedInFlight(t *testing.T) {
	const messages = 30
	for what, said := range map[string]string{"refused": "", "and the end": "\r\n* BYE that was too much"} {
		for _, number := range []int{1, 17, messages} {
			for _, sizes := range []bool{true, false} {
				for _, dies := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s number=%d sizes=%v dies=%v", what, number, sizes, dies), func(t *testing.T) {
						t.Parallel()
						s := one(newStage(t, "LITERAL+"))
						s.settings.Allow = []string{ClassRefused}
						s.src.alike("INBOX", messages, sizes)
						s.dst.refusesNumber(number, said)
						stored, dead := make(chan struct{}), make(chan struct{})
						if dies { // when all is stored and nothing is answered
							s.dst.do(func() {
								s.dst.mangle = hoard(messages, func([]string) string {
									close(stored)
									<-dead
									return ""
								})
							})
						}
						s.start()
						if dies {
							<-stored
							s.stop()
							close(dead)
							s.start()
						}
						s.crossedBut("INBOX", uint32(number))
						most := map[bool]int{false: 1, true: 2}[dies] // whoever dies cannot tell which message it was
						if n := strings.Count(s.log.String(), "copying a folder anew"); n > most {
							t.Errorf("the folder was copied anew %d times", n)
						}
					})
				}
			}
		}
	}
}

// TestRefusedTwice: with more messages that are refused, far from each other, all go one by one in the end.
func TestRefusedTwice(t *testing.T) {
	s := one(newStage(t, "LITERAL+"))
	s.settings.Allow = []string{ClassRefused}
	s.src.alike("Work", 5*flightWindow, true)
	s.dst.do(func() {
		s.dst.refuses = func(m *fakeMail) string {
			for _, n := range []string{"050", "250", "450"} {
				if strings.HasPrefix(m.body, "Subject: number "+n+"\r\n\r\nbody") {
					return "NO no good"
				}
			}
			return ""
		}
	})
	s.start()
	s.crossed()
	s.excepted("Work 50 refused", "Work 250 refused", "Work 450 refused")
	if n := strings.Count(s.log.String(), "copying a folder anew"); n != 2 {
		t.Errorf("the folder was copied anew %d times, want 2", n)
	}
}

// TestKeptFolder: a target that does not make a folder new, INBOX or one that was there before, gets its messages one by one, because
// none must go astray there for good; one that is refused is an exception, and holds nobody else up.
func TestKeptFolder(t *testing.T) {
	for folder, hook := range map[string]func(f *fake, verb, args string) (string, bool){
		"INBOX": func(_ *fake, verb, _ string) (string, bool) {
			return "%t NO [CANNOT] INBOX stays\r\n", verb == "RENAME"
		},
		"inbox as it is": func(f *fake, verb, args string) (string, bool) { // its mail moves, and it keeps its UIDVALIDITY and UIDNEXT
			if verb == "RENAME" {
				f.do(func() {
					_, to, _ := strings.Cut(args, " ")
					*f.create(strings.Trim(to, `"`)) = fakeFolder{mail: f.folders["INBOX"].mail, next: 9, validity: 1, gone: map[uint32]uint64{}}
					f.folders["INBOX"].mail = nil
				})
			}
			return "%t OK renamed\r\n", verb == "RENAME"
		},
		"Sent": func(_ *fake, verb, args string) (string, bool) {
			return "%t NO [CANNOT] Sent stays\r\n", verb == "DELETE" && strings.Contains(args, "Sent")
		},
	} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, "LITERAL+"))
			s.settings.Allow = []string{ClassRefused}
			if folder != "Sent" {
				folder = "INBOX"
			}
			s.dst.deliver(folder)
			s.src.alike(folder, 20, false)
			s.dst.refusesNumber(7, "")
			s.dst.do(func() { s.dst.hook = func(verb, args string) (string, bool) { return hook(s.dst, verb, args) } })
			s.start()
			s.crossedBut(folder, 7)
		})
	}
}

// TestMailWhileInboxIsTried: mail that somebody delivers into the target's INBOX just when it is tried whether that can be made
// new holds the user, and is not lost (I4).
func TestMailWhileInboxIsTried(t *testing.T) {
	s := one(newStage(t, "LITERAL+"))
	s.src.deliver("INBOX", 1, 2)
	var once sync.Once
	s.dst.do(func() {
		s.dst.hook = func(verb, _ string) (string, bool) {
			if verb == "RENAME" {
				once.Do(func() { s.dst.deliver("INBOX", 1) })
			}
			return "", false
		}
	})
	s.start()
	s.held("holds mail of unknown origin", discardedInbox)
	s.retry()
	s.held("holds mail of unknown origin", discardedInbox)
	if got := s.dst.text(false); !strings.Contains(got, "Subject: INBOX 1") {
		t.Errorf("the mail is gone: %s", got)
	}
}

// TestInboxMovedDespiteNo: a server moves INBOX aside, and says NO all the same. The user must not find the engine's folder among
// their own after the switch.
func TestInboxMovedDespiteNo(t *testing.T) {
	s := one(newStage(t, "LITERAL+"))
	s.src.deliver("INBOX", 1, 2)
	s.dst.do(func() {
		s.dst.hook = func(verb, args string) (string, bool) {
			if verb == "RENAME" {
				s.dst.do(func() {
					s.dst.create(discardedInbox)
					s.dst.create("INBOX")
				})
			}
			return "%t NO [UNAVAILABLE] not now\r\n", verb == "RENAME"
		}
	})
	s.start()
	s.migrated()
	if got := s.dst.text(false); strings.Contains(got, discardedInbox) {
		t.Errorf("the target: %s", got)
	}
}

// TestLateFlights: what a dead worker has sent takes effect late, while the next one sends the same. The folder is
// copied anew, and nothing is there twice (I1).
func TestLateFlights(t *testing.T) {
	s := one(newStage(t, "LITERAL+"))
	s.src.alike("Work", 40, false)
	stuck, next, landed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var appends atomic.Int64
	var once sync.Once
	s.dst.do(func() {
		s.dst.hook = func(verb, _ string) (string, bool) {
			if verb != "APPEND" {
				return "", false
			}
			switch appends.Add(1) {
			case 11: // the dead worker's, with others behind it
				close(stuck)
				<-next
			case 12:
				close(next)
				<-landed
			}
			return "", false
		}
		s.dst.mangle = func(verb, answer string) string {
			if verb == "APPEND" && appends.Load() >= 12 {
				once.Do(func() { close(landed) })
			}
			return answer
		}
	})
	s.start()
	<-stuck
	s.stop()
	s.start()
	s.migrated()
	if !strings.Contains(s.log.String(), "copying a folder anew") {
		t.Error("nothing came late")
	}
}
