package migrate

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"imapferry/internal/wire"
	"imapferry/state"
)

// insult is an answer that no server should give, made from the one that it would give.
type insult struct {
	side, verb, from, to string // from is a regular expression, once for each answer
	want                 string // what the log must say; nothing: the user is migrated all the same
}

// with lets the fake answer by the insult, each time.
func (f *fake) with(i insult) {
	from := regexp.MustCompile(i.from)
	f.do(func() {
		f.mangle = func(verb, answer string) string {
			at := from.FindStringSubmatchIndex(answer)
			if verb != i.verb || at == nil {
				return answer
			}
			return answer[:at[0]] + string(from.ExpandString(nil, i.to, answer, at)) + answer[at[1]:]
		}
	})
}

// sound demands that the target holds nothing but the source's messages under their UIDs, placeholders, and what
// recorded exceptions explain.
func (s *stage) sound() {
	s.t.Helper()
	excused := map[string]map[uint32]bool{}
	list, err := s.store.Exceptions(s.ctx, "alice", "", exceptionPage)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list {
		if excused[e.Folder] == nil {
			excused[e.Folder] = map[uint32]bool{}
		}
		excused[e.Folder][e.UID] = true
	}
	for name, dst := range s.dst.folders {
		right := map[uint32]string{}
		was := name
		if name == discardedInbox { // stopped while it copied INBOX anew
			was = wire.Inbox
		}
		if src := s.src.folders[was]; src != nil {
			for _, m := range src.mail {
				right[m.uid] = m.body
			}
		}
		for _, m := range dst.mail {
			if m.body != placeholder && m.body != right[m.uid] && !excused[was][m.uid] {
				s.t.Errorf("%s uid %d is %q in the target and %q in the source", name, m.uid, m.body, right[m.uid])
			}
		}
	}
}

// tried waits until the user is migrated or held, or two tries have failed.
func (s *stage) tried() state.Record {
	s.t.Helper()
	rec := s.await("tried", func(r state.Record) bool {
		if r.Attempts == 1 {
			s.engine.Wake("alice")
		}
		return r.Phase == state.Migrated || r.Phase == state.Held || r.Attempts >= 2
	})
	s.stop()
	return rec
}

// TestHostileAnswers: whatever a server answers, the run ends, its log says clearly why, nothing wrong is in the
// target, and the user is switched only if both sides are equal (I1, I4, I9).
func TestHostileAnswers(t *testing.T) {
	const line = `(?s)(.*\r\n)(w\d+ OK)`
	long := strings.Repeat("x", limits.Line+1)
	for name, i := range map[string]insult{
		"inbox in another case":     {"source", "LIST", `"INBOX"`, `inBox`, ""},
		"all folders twice":         {"source", "LIST", line, "$1$1$2", ""},
		"folder without a name":     {"source", "LIST", line, "$1* LIST () \"/\" \"\"\r\n$2", ""},
		"name too long to keep":     {"source", "LIST", line, "* LIST () \"/\" {4294967296}\r\n$1$2", "literal too long"},
		"line too long to keep":     {"source", "LIST", line, "* X" + long + "\r\n$1$2", "line too long"},
		"rows without a name":       {"source", "LIST", `"/" "INBOX"`, `"/"`, "syntax error"},
		"status of another folder":  {"source", "STATUS", `STATUS "INBOX"`, `STATUS "Other"`, "no status"},
		"status twice, changed":     {"source", "STATUS", `(\* STATUS .* UIDVALIDITY )(\d+)(\)\r\n)`, "${1}7${3}${1}${2}${3}", ""},
		"no UIDNEXT":                {"source", "STATUS", `UIDNEXT \d+ `, ``, "no UIDNEXT"},
		"UIDNEXT 0":                 {"source", "STATUS", `UIDNEXT \d+`, `UIDNEXT 0`, "no UIDNEXT"},
		"UIDNEXT too low":           {"source", "STATUS", `UIDNEXT 6`, `UIDNEXT 3`, "not proven equal"},
		"UIDNEXT over 32 bits":      {"source", "STATUS", `UIDNEXT \d+`, `UIDNEXT 4294967296`, "32 bits"},
		"UIDVALIDITY 0":             {"source", "STATUS", `UIDVALIDITY \d+`, `UIDVALIDITY 0`, "no status"},
		"UIDVALIDITY below 0":       {"source", "STATUS", `UIDVALIDITY \d+`, `UIDVALIDITY -1`, "want number"},
		"UIDVALIDITY changes":       {"source", "EXAMINE", `UIDVALIDITY \d+`, `UIDVALIDITY 7`, "not proven equal"},
		"no UIDVALIDITY":            {"source", "EXAMINE", `UIDVALIDITY \d+`, `X`, "no UIDVALIDITY"},
		"MESSAGES too many":         {"source", "STATUS", `MESSAGES \d+`, `MESSAGES 4000000000`, "not proven equal"},
		"MESSAGES over 64 bits":     {"source", "STATUS", `MESSAGES \d+`, `MESSAGES 99999999999999999999`, "want number"},
		"EXISTS shrinks":            {"source", "UID FETCH", line, "* 1 EXISTS\r\n$1* 0 EXISTS\r\n$2", ""},
		"EXISTS over 32 bits":       {"source", "EXAMINE", line, "* 99999999999 EXISTS\r\n* -1 EXISTS\r\n$1$2", ""},
		"lines out of order":        {"source", "UID FETCH", `^(\* .* INTERNALDATE "[^"]*"\)\r\n)(\* .*\r\n)`, "$2$1", ""},
		"lines twice":               {"source", "UID FETCH", `^(\* .* INTERNALDATE "[^"]*"\)\r\n)`, "$1$1", ""},
		"bodies out of order":       {"source", "UID FETCH", `(?s)^(\* 1 .*BODY.*)(\* 2 .*BODY.*)(\* 3)`, "$2$1$3", "another order"},
		"bodies twice":              {"source", "UID FETCH", `(?s)^(\* 1 .*BODY.*)(\* 2)`, "$1$1$2", "another order"},
		"UID 0":                     {"source", "UID FETCH", `UID \d+`, `UID 0`, "without UID"},
		"UID below 0":               {"source", "UID FETCH", `UID \d+`, `UID -5`, "want number"},
		"UID over 32 bits":          {"source", "UID FETCH", `UID \d+`, `UID 4294967297`, "32 bits"},
		"parentheses never close":   {"source", "UID FETCH", `FLAGS \([^)]*\)`, `FLAGS ` + strings.Repeat("(", 5000), "syntax error"},
		"body announced too short":  {"source", "UID FETCH", `BODY\[\] \{\d+\}`, `BODY[] {3}`, "not sent"},
		"body announced too long":   {"source", "UID FETCH", `(UID 1 .* BODY\[\]) \{\d+\}`, `$1 {4294967296}`, "timeout"},
		"body of 2^63 bytes":        {"source", "UID FETCH", `(UID 1 .* BODY\[\]) \{\d+\}`, `$1 {9223372036854775807}`, "timeout"},
		"body of 10^20 bytes":       {"source", "UID FETCH", `BODY\[\] \{\d+\}`, `BODY[] {99999999999999999999}`, "not sent"},
		"tag of somebody else":      {"source", "UID FETCH", `w\d+ OK`, `x1 OK`, "not sent"},
		"completed in advance":      {"source", "EXAMINE", line, "${1}w999 OK\r\n$2", "not sent"},
		"no status in completion":   {"source", "EXAMINE", `(w\d+) OK .*\r\n`, "$1\r\n", "refused"},
		"BYE in the middle":         {"source", "UID FETCH", `(\r\n)(\* 2 .*)`, "$1* BYE [UNAVAILABLE] going down\r\n$2", "going down"},
		"greeting inside":           {"source", "EXAMINE", line, "* OK [CAPABILITY IMAP4rev2] hi\r\n* PREAUTH hi\r\n$1$2", ""},
		"continuation":              {"source", "EXAMINE", line, "+ \r\n$1+ go on\r\n$2", ""},
		"no APPENDUID":              {"target", "APPEND", `\[APPENDUID [^]]*\] `, ``, "no APPENDUID"},
		"APPENDUID of other UIDs":   {"target", "APPEND", `APPENDUID (\d+) \S+\]`, `APPENDUID $1 99]`, "got uids 99"},
		"APPENDUID of nothing":      {"target", "APPEND", `APPENDUID (\d+) \S+\]`, `APPENDUID $1]`, "read APPENDUID"},
		"APPENDUID over 32 bits":    {"target", "APPEND", `APPENDUID (\d+) \S+\]`, `APPENDUID $1 1:99999999999]`, "read APPENDUID"},
		"target without UIDs":       {"target", "STATUS", `UIDNEXT \d+`, `UIDNEXT 0`, "no UIDNEXT"},
		"target with many messages": {"target", "UID FETCH", `(?s)^`, "* 77 FETCH (UID 77 FLAGS () INTERNALDATE \"" + fakeDate + "\")\r\n", "unknown origin"},
		"target lists nothing":      {"target", "UID FETCH", `(?s)^.*\r\n(w\d+ OK)`, "$1", "instead of"},
		"target keeps other dates":  {"target", "UID FETCH", `INTERNALDATE "07`, `INTERNALDATE "08`, "date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := small(newStage(t, batchCaps))
			before := s.src.text(true)
			map[string]*fake{"source": s.src, "target": s.dst}[i.side].with(i)
			s.start()
			rec := s.tried()
			log := strings.ReplaceAll(s.log.String(), `\"`, `"`)
			if !strings.Contains(log, i.want) {
				t.Errorf("the log does not say %q:\n%s", i.want, log)
			}
			if i.want == "" && rec.Phase != state.Migrated {
				t.Errorf("not migrated: %s", rec.Reason)
			}
			if after := s.src.text(true); before != after {
				t.Errorf("the source was touched:\n%s", after)
			}
			if src, dst := s.src.text(false), s.dst.text(false); rec.Phase == state.Migrated && src != dst {
				t.Errorf("migrated with source:\n%starget:\n%s", src, dst)
			}
			s.sound()
		})
	}
}

// TestOddNames: names and flags that are against the rules cross as they are (I2).
func TestOddNames(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		s := one(newStage(t, caps))
		for _, n := range []string{"caf\xe9", "&&bad", "&AGE-", "&ZeVnLIqe", "a\"b\\c", "{5}", "NIL", "inbox/x", "INBOX2", " ", "%", "*", "a\rb\nc"} {
			s.src.deliver(n, 3)
			s.src.do(func() { s.src.subs[n] = true })
		}
		s.src.do(func() { s.src.folders["NIL"].mail[0].flags = `$Lab:el/2 NIL [brk \X-Odd a"b cl}ose {3}` })
		s.start()
		s.migrated()
	}
}

// TestNoise: responses that nobody knows, before and behind each line, do no harm (I9).
func TestNoise(t *testing.T) {
	noise := "* X-NEW (a (b \"c)\") {3}\r\n)x( NIL)\r\n* OK [X-CODE (a b) \"]\"] hello\r\n* NO [ALERT] disk\r\n* 7 X-NUMBER\r\n* BAD\r\n* FLAGS (a)\r\n* SEARCH\r\n* 3 RECENT\r\n"
	var lines atomic.Int64
	s := small(newStage(t, batchCaps))
	for _, f := range []*fake{s.src, s.dst} {
		f.do(func() {
			f.mangle = func(_, answer string) string {
				if strings.Contains(answer, "BODY[]") {
					return noise + answer
				}
				lines.Add(1)
				return noise + strings.ReplaceAll(answer, "\r\n* ", "\r\n"+noise+"* ")
			}
		})
	}
	s.start()
	s.migrated()
	if lines.Load() == 0 {
		t.Error("nothing was mangled")
	}
}

// TestPassingRefusals: what a server refuses for a trouble that passes is tried again and holds nobody, whatever was
// asked and though it is refused more than once (I9).
func TestPassingRefusals(t *testing.T) {
	for _, words := range []string{"[INUSE] locked", "[UNAVAILABLE] later", "[SERVERBUG] oops", "[THROTTLED 30] slow down"} {
		for side, verbs := range map[string][]string{
			"source": {"LOGIN", "LIST", "LSUB", "STATUS", "EXAMINE", "UID FETCH", "CLOSE"},
			"target": {"LOGIN", "LIST", "LSUB", "STATUS", "SELECT", "UID FETCH", "UID STORE", "UID EXPUNGE", "CREATE", "SUBSCRIBE", "APPEND"},
		} {
			for _, verb := range verbs {
				t.Run(fmt.Sprintf("%s %s %s", side, verb, words), func(t *testing.T) {
					t.Parallel()
					s := small(newStage(t, batchCaps))
					var left atomic.Int64
					left.Store(12) // more than the engine asks in one try
					if strings.HasPrefix(words, "[SERVERBUG]") {
						left.Store(4) // else it says something of a message
					}
					f := map[string]*fake{"source": s.src, "target": s.dst}[side]
					f.do(func() {
						f.hook = func(v, _ string) (string, bool) {
							return "%t NO " + words + "\r\n", v == verb && left.Add(-1) >= 0
						}
					})
					s.start()
					s.await("migrated", func(r state.Record) bool {
						if r.Phase == state.Held {
							t.Fatalf("held: %s", r.Reason)
						}
						s.engine.Wake("alice")
						return r.Phase == state.Migrated
					})
					s.migrated()
				})
			}
		}
	}
}

// TestThrottledAmongBodies: a source that ends the connection because the user has read enough for now says nothing of the message
// that was due. It is not given up, however often that happens.
func TestThrottledAmongBodies(t *testing.T) {
	for _, words := range []string{"[OVERQUOTA] bandwidth exceeded", "[THROTTLED 60] slow down", "[UNAVAILABLE] going down", "[LIMIT] enough"} {
		t.Run(words, func(t *testing.T) {
			s := small(newStage(t, batchCaps))
			var left atomic.Int64
			left.Store(8)
			s.src.hook = func(verb, args string) (string, bool) {
				if verb != "UID FETCH" || !strings.Contains(args, "BODY.PEEK[]") || left.Add(-1) < 0 {
					return "", false
				}
				var first string
				s.src.do(func() { first = s.src.folders["INBOX"].mail[0].items(args) })
				if left.Load()%2 == 0 || !strings.Contains(args, "1:") {
					return "* BYE " + words + "\r\n", true
				}
				return "* 1 FETCH (" + first + ")\r\n* BYE " + words + "\r\n", true
			}
			s.start()
			s.migrated()
			s.excepted()
		})
	}
}
