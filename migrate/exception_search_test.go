package migrate

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state/boltstate"
)

// attached returns the message that a wrapped one holds.
func attached(t *testing.T, body string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for range 2 {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	t.Fatal("nothing is attached")
	return ""
}

// TestRefusedInBatch: a target that refuses some messages in the middle of a MULTIAPPEND, for what they are, has all
// others as they were, and those in the best form that it takes, each at its own UID (I1, I10).
func TestRefusedInBatch(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps, plainCaps + " LITERAL+", plainCaps + " LITERAL-"} {
		t.Run(caps, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, caps))
			uids := make([]uint32, 60)
			for i := range uids {
				uids[i] = uint32(2*i + 1)
			}
			s.src.deliver("INBOX", uids...)
			nul := "Subject: nul\r\nMessage-ID: <nul@x>\r\n\r\na\x00b\r\n" + strings.Repeat("0123456789", 30)
			lf := "Subject: bare\nFrom: B\xe9b <bob@x>\n\none\ntwo"
			s.src.do(func() {
				box := s.src.folders["INBOX"].mail
				box[3].body, box[30].body = nul, lf
				box[31].flags = `\Seen $Long`
				box[40].date = "31-Dec-9999 23:59:59 +0000"
				box[59].body = "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcd\r\n", 1<<16)
			})
			s.dst.do(func() {
				s.dst.keeps = func(flag string) bool { return flag != "$Long" }
				s.dst.refuses = func(m *fakeMail) string {
					switch {
					case strings.Contains(m.body, "\x00"):
						return "NO Message contains NUL characters"
					case strings.Contains(strings.ReplaceAll(m.body, "\r\n", ""), "\n"):
						return "NO [CANNOT] Message contains bare newlines"
					case strings.Contains(m.flags, "$Long"):
						return "BAD invalid keyword"
					case strings.Contains(m.date, "9999"):
						return "BAD invalid date"
					case len(m.body) > 1<<20:
						return "NO [TOOBIG] message is too big"
					}
					return ""
				}
			})
			s.start()
			s.held("5 exceptions: 1 date, 1 flags, 2 refused, 1 too-big")
			want := []string{"INBOX 7 refused", "INBOX 61 refused", "INBOX 63 flags", "INBOX 81 date", "INBOX 119 too-big"}
			s.excepted(want...)
			s.allow(ClassRefused, ClassDate, ClassFlags, ClassTooBig)
			s.crossed()
			s.excepted(want...)
			src, dst := s.src.folders["INBOX"].mail, s.dst.folders["INBOX"].mail
			if len(dst) != len(src) {
				t.Fatalf("%d messages instead of %d", len(dst), len(src))
			}
			for i := range src {
				if dst[i].uid != src[i].uid {
					t.Fatalf("uid %d instead of %d", dst[i].uid, src[i].uid)
				}
				if !slices.Contains([]int{3, 30, 59}, i) && dst[i].body != src[i].body {
					t.Errorf("uid %d has another body", src[i].uid)
				}
				if i != 31 && dst[i].flags != src[i].flags || i != 40 && dst[i].date != src[i].date {
					t.Errorf("uid %d has flags %s and date %s", src[i].uid, dst[i].flags, dst[i].date)
				}
			}
			for _, i := range []int{3, 30} {
				if got := attached(t, dst[i].body); got != src[i].body {
					t.Errorf("uid %d: attached is %q", src[i].uid, got)
				}
			}
			if text := dst[59].body; len(text) > 2000 || !strings.Contains(text, "UID: 119") || !strings.Contains(text, "Subject: large") {
				t.Errorf("the note is %.3000q", text)
			}
		})
	}
}

// TestRefusedAgain: a retry tries refused messages again as they are, if nobody has allowed them to be otherwise.
func TestRefusedAgain(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2, 3)
	s.dst.do(func() {
		s.dst.refuses = func(m *fakeMail) string {
			if strings.HasPrefix(m.body, "Subject: Work 2\r\n\r\nbody") {
				return "NO no"
			}
			return ""
		}
	})
	s.start()
	s.held("1 exception: 1 refused")
	s.dst.do(func() { s.dst.refuses = nil })
	s.retry()
	s.migrated()
	s.excepted()
}

// TestRefusedUnderHold: a message that is refused for the first time while sessions are held calls the cutover off, and is
// dealt with before the next one (I5, I10).
func TestRefusedUnderHold(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.dst.do(func() {
		s.dst.refuses = func(m *fakeMail) string {
			if strings.HasPrefix(m.body, "Subject: INBOX 2\r\n\r\n") {
				return "NO no"
			}
			return ""
		}
	})
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, before: func() {}, held: func() { s.src.deliver("INBOX", 2) }}
	}
	s.start()
	s.held("1 exception: 1 refused")
	s.excepted("INBOX 2 refused")
}

// TestUnreadable: messages that the source cannot give, in whatever way it fails, are replaced by notes that say what is
// known of them; all others arrive (I9, I10).
func TestUnreadable(t *testing.T) {
	for how, answer := range map[string]string{
		"NIL": "* 3 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE \"" + fakeDate + "\" BODY[] NIL)\r\n%t OK done\r\n", "NO": "%t NO [SERVERBUG] corrupted\r\n",
		"omitted": "%t OK done\r\n", "bye": "* BYE [SERVERBUG] index corrupted\r\n",
		"cut short": "* 3 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE \"" + fakeDate + "\" BODY[] {100}\r\nnot so much* BYE cut\r\n",
		"syntax":    "* 3 FETCH (UID 3 FLAGS (\\Seen) INTERNALDATE \"" + fakeDate + "\" BODY[] {100\r\n%t OK done\r\n",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, batchCaps))
			s.src.deliver("INBOX", 1, 2, 3, 4, 5, 6, 7)
			s.src.hook = func(verb, args string) (string, bool) {
				set, items, _ := strings.Cut(args, " ")
				if verb != "UID FETCH" || !strings.Contains(items, "BODY.PEEK[]") {
					return "", false
				}
				var from, to int
				if n, _ := fmt.Sscanf(set, "%d:%d", &from, &to); n == 1 {
					to = from
				}
				if from > 3 || to < 3 {
					return "", false
				}
				var before strings.Builder
				s.src.do(func() {
					for i := from; i < 3; i++ {
						fmt.Fprintf(&before, "* %d FETCH (%s)\r\n", i, s.src.folders["INBOX"].mail[i-1].items(items))
					}
				})
				return before.String() + answer, true
			}
			s.start()
			s.held("1 exception: 1 unreadable")
			s.excepted("INBOX 3 unreadable")
			s.allow(ClassUnreadable)
			s.crossed()
			src, dst := s.src.folders["INBOX"].mail, s.dst.folders["INBOX"].mail
			if len(dst) != 7 {
				t.Fatalf("%d messages", len(dst))
			}
			for i := range src {
				if i != 2 && dst[i].body != src[i].body || dst[i].uid != src[i].uid || dst[i].flags != src[i].flags {
					t.Errorf("uid %d is %+v", src[i].uid, dst[i])
				}
			}
			if !strings.Contains(dst[2].body, "Subject: INBOX 3\r\n") || !strings.Contains(dst[2].body, "UID: 3\r\n") {
				t.Errorf("the note is %q", dst[2].body)
			}
		})
	}
}

// TestWrappingSize: the size that is announced is the size that is written, for every length of the last line.
func TestWrappingSize(t *testing.T) {
	for n := range 3 * lineBytes {
		original := bytes.Repeat([]byte("\x00\xff"), n)[:n]
		w := newWrapping(&scanned{}, io.EOF)
		var out bytes.Buffer
		err := w.write(&out, func(to io.Writer) error {
			_, err := io.Copy(to, iotestOneByte{bytes.NewReader(original)})
			return err
		})
		if err != nil || int64(out.Len()) != w.size(int64(n)) || attached(t, out.String()) != string(original) {
			t.Fatalf("%d bytes: wrote %d, announced %d, %v", n, out.Len(), w.size(int64(n)), err)
		}
	}
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// TestCutAroundRefusal: wherever a connection is cut while the engine works its way around a refused message, that message is
// there once, wrapped and recorded, and the others are as they were (I1, I10).
func TestCutAroundRefusal(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps, plainCaps + " LITERAL+", plainCaps + " LITERAL-"} {
		for _, n := range testbed.Sample(t, 420, 8) {
			t.Run(fmt.Sprintf("%s %d", caps, n), func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, caps))
				s.settings.Allow, s.settings.VerifyBodies = []string{ClassRefused}, VerifyAll
				s.src.deliver("INBOX", 1, 2, 3, 5, 9, 30, 31)
				s.dst.do(func() {
					s.dst.refuses = func(m *fakeMail) string {
						if strings.HasPrefix(m.body, "Subject: INBOX 9\r\n\r\n") {
							return "NO no"
						}
						return ""
					}
				})
				cut := &trouble{n: int64(n), kind: troubles[n%2]} // cut or half
				for _, f := range []*fake{s.src, s.dst} {
					f.do(func() { f.trouble = cut })
				}
				s.start()
				s.crossed()
				s.excepted("INBOX 9 refused")
				src, dst := s.src.folders["INBOX"].mail, s.dst.folders["INBOX"].mail
				if len(src) != len(dst) {
					t.Fatalf("%d messages instead of %d", len(dst), len(src))
				}
				for i := range src {
					got := dst[i].body
					if src[i].uid == 9 {
						got = attached(t, got)
					}
					if got != src[i].body || dst[i].uid != src[i].uid || dst[i].flags != src[i].flags {
						t.Errorf("%+v became %+v", src[i], dst[i])
					}
				}
			})
		}
	}
}
