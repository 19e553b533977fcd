package migrate

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// rights returns who has which rights on alice's folder.
func (x *crossing) rights(addr, folder string) map[string]string {
	x.t.Helper()
	words := strings.Fields(answers(x.t, x.ctx, addr, "GETACL "+folder))
	list := map[string]string{}
	for i := 2; i+1 < len(words) && words[i+1] != "OK"; i += 2 { // ACL, the folder, and what the completion says
		if words[i] != "alice" {
			list[words[i]] = words[i+1]
		}
	}
	return list
}

func (x *crossing) wantRights(addr, folder string, want ...string) {
	x.t.Helper()
	list := x.rights(addr, folder)
	var got []string
	for _, id := range slices.Sorted(maps.Keys(list)) {
		got = append(got, id+" "+list[id])
	}
	if !slices.Equal(got, want) {
		x.t.Errorf("rights on %s: %q, want %q", folder, got, want)
	}
}

// TestRightsTakenBack: rights that were taken back at the source between two looks are gone in the target, whichever worker looks;
// what an operator has given there stays (I2).
func TestRightsTakenBack(t *testing.T) {
	plugins := dovecotWith(testbed.DovecotOptions{Plugins: true})
	for name, both := range map[string][2]func(*testbed.Bed) (server, error){
		"dovecot": {plugins, plugins}, "from cyrus": {cyrus, plugins}, "into cyrus": {plugins, cyrus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			t.Cleanup(cancel)
			x := &crossing{t: t, ctx: ctx, settings: patient(), plain: true, path: filepath.Join(testbed.InMemory(t), "state.db")}
			bed := testbed.ForTest(t)
			var at [2]string
			for i, start := range both {
				s, err := start(bed)
				if err != nil {
					t.Fatal(err)
				}
				if at[i] = s.IMAP(); i == 0 {
					x.from = s
				}
			}
			source, target := at[0], at[1]
			commands(t, x.ctx, source, "CREATE Shared", "CREATE Mine", "CREATE Less", "CREATE Old",
				"SETACL Shared bob lr", "SETACL Shared carol lrs", "SETACL Shared -bob w", "SETACL Less bob lrs", "SETACL INBOX bob lr", "SETACL Old bob lr")
			x.looked(target)
			x.wantRights(target, "Shared", "-bob w", "bob lr", "carol lrs")
			x.wantRights(target, "INBOX", "bob lr")
			commands(t, x.ctx, target, "SETACL Shared dave lr", "SETACL Mine bob lr") // the operator's
			commands(t, x.ctx, source, "DELETEACL Shared bob", "DELETEACL Shared -bob", "SETACL Less bob l", "DELETEACL Old bob")
			x.looked(target)
			x.wantRights(target, "Shared", "carol lrs", "dave lr")
			x.wantRights(target, "Less", "bob l")
			x.wantRights(target, "Old")
			x.wantRights(target, "Mine", "bob lr")

			// What is made in the target below a shared folder is shared as that is; at the source it may be no more.
			commands(t, x.ctx, source, "DELETEACL Shared carol", "CREATE New", "CREATE Less/New", "DELETEACL Less/New bob", "DELETEACL New bob")
			x.looked(target)
			x.wantRights(target, "Shared", "dave lr")
			x.wantRights(target, "New")
			x.wantRights(target, "Less/New")

			commands(t, x.ctx, source, "DELETEACL INBOX bob", "DELETE Old", "CREATE Old")
			x.settings.Cutover = CutoverLive
			x.intoServer(target)
			x.engine.Offer("alice", "pass")
			x.awaitPhase("alice", state.Migrated)
			x.wantRights(target, "INBOX")
			x.wantRights(target, "Mine", "bob lr")
			if got := x.exceptions(ClassACL); len(got) > 0 {
				t.Errorf("exceptions %q", got)
			}
		})
	}
}

// TestEntriesTakenBack: annotations that are gone at the source are gone in the target, and an operator's own stay. Of a folder that
// has longer ones than are read nothing is taken away.
func TestEntriesTakenBack(t *testing.T) {
	x, source := pairOf(t, dovecotWith(testbed.DovecotOptions{ExtraConfig: "imap_max_line_length = 1M\n"}), testbed.DovecotOptions{})
	x.plain, x.path = true, filepath.Join(testbed.InMemory(t), "state.db")
	x.from, x.settings.Allow = at(source), []string{ClassMetadata}
	target := x.dst.IMAP()
	commands(t, x.ctx, source, "CREATE Work", "CREATE Long", `SETMETADATA "" (/private/vendor/x "account")`, `SETMETADATA INBOX (/private/vendor/x "in")`,
		`SETMETADATA Work (/private/comment "mine" /shared/vendor/x "ours" /private/vendor/y "kept")`, `SETMETADATA Long (/private/vendor/x "short")`)
	commands(t, x.ctx, target, `SETMETADATA "" (/private/vendor/z "theirs")`)
	x.looked(target)
	commands(t, x.ctx, target, `SETMETADATA Work (/private/vendor/z "theirs")`)
	commands(t, x.ctx, source, `SETMETADATA "" (/private/vendor/x NIL)`, `SETMETADATA Work (/private/comment NIL /shared/vendor/x NIL)`, `SETMETADATA INBOX (/private/vendor/x NIL)`)
	set(t, x.ctx, source, "Long", "/private/vendor/x", strings.Repeat("x", maxEntry+1))
	x.looked(target)
	for folder, want := range map[string][]string{
		`""`: {"/private/vendor/z"}, "INBOX": nil, "Work": {"/private/vendor/y", "/private/vendor/z"}, "Long": {"/private/vendor/x"},
	} {
		words := strings.Fields(answers(t, x.ctx, target, "GETMETADATA (DEPTH infinity) "+folder+" (/private/comment /private/vendor /shared/vendor)"))
		got := slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, "/") })
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", folder, got, want)
		}
	}
}

// at is the address of a server.
type at string

func (a at) IMAP() string { return string(a) }

// shares gives a fake ACLs, and returns those of its folders.
func (f *fake) shares() map[string]map[string]string {
	all := map[string]map[string]string{}
	hook := func(verb, args string) (string, bool) {
		if !strings.HasSuffix(verb, "ACL") {
			return "", false
		}
		words := strings.Fields(strings.ReplaceAll(args, `"`, ""))
		answer := ""
		f.do(func() {
			list := all[words[0]]
			switch verb {
			case "GETACL":
				answer = "* ACL " + words[0] + " alice lrs"
				for id, rights := range list {
					answer += " " + id + " " + rights
				}
				answer += "\r\n"
			case "SETACL":
				if list == nil {
					list = map[string]string{}
					all[words[0]] = list
				}
				list[words[1]] = words[2]
			case "DELETEACL":
				delete(list, words[1])
			}
		})
		return answer + "%t OK done\r\n", true
	}
	f.do(func() { f.caps, f.hook = f.caps+" ACL", hook })
	return all
}

// TestRightsTakenBackCutOff: the worker dies while it gives rights, and they are taken back at the source when the next one begins.
// They do not live on in the target, not even on an INBOX that is copied anew.
func TestRightsTakenBackCutOff(t *testing.T) {
	for n := int32(0); ; n++ {
		s := one(newStage(t, batchCaps))
		src, dst := s.src.shares(), s.dst.shares()
		d := s.dies(n)
		s.src.deliver("INBOX", 1)
		s.src.deliver("Work", 1)
		src["INBOX"] = map[string]string{"bob": "lr", "carol": "lr"}
		src["Work"] = map[string]string{"bob": "lr"}
		s.start()
		rec := s.await("cut off or migrated", func(r state.Record) bool {
			return r.Phase == state.Migrated || strings.Contains(r.Reason, errStoreGone.Error())
		})
		s.stop()
		if rec.Phase == state.Migrated {
			if n < 5 {
				t.Errorf("cut off %d times only", n)
			}
			return
		}
		s.src.do(func() {
			delete(src["INBOX"], "bob")
			delete(src["Work"], "bob")
			s.src.folders["INBOX"].validity++
		})
		d.left.Store(1 << 30)
		s.start()
		s.migrated()
		s.stop()
		if !maps.Equal(dst["INBOX"], src["INBOX"]) || len(dst["Work"]) > 0 {
			t.Errorf("cut off at write %d: the target has %v, the source %v", n, dst, src)
		}
	}
}

// TestRightsNotTold: of a folder whose rights the source does not tell any more, or the target, nothing is taken back or forgotten.
func TestRightsNotTold(t *testing.T) {
	for _, side := range []string{"source", "target"} {
		t.Run(side, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.settings.Cutover = CutoverManual
			src, dst := s.src.shares(), s.dst.shares()
			s.src.deliver("Work", 1)
			src["Work"] = map[string]string{"bob": "lr", "carol": "lr"}
			s.start()
			first := s.waits()
			f := map[string]*fake{"source": s.src, "target": s.dst}[side]
			hook := f.hook
			f.do(func() {
				delete(src["Work"], "bob")
				f.hook = func(verb, args string) (string, bool) {
					if verb == "GETACL" && strings.Contains(args, "Work") {
						return "%t NO [NOPERM] not yours\r\n", true
					}
					return hook(verb, args)
				}
			})
			s.retry()
			second := s.await("looked at again", func(r state.Record) bool { return r.Epoch > first.Epoch && r.Owner == "" })
			if len(dst["Work"]) != 2 {
				t.Errorf("the target has %v", dst)
			}
			f.do(func() { f.hook = hook })
			s.retry()
			s.await("looked at again", func(r state.Record) bool { return r.Epoch > second.Epoch && r.Owner == "" })
			if len(dst["Work"]) != 1 {
				t.Errorf("the target has %v", dst)
			}
		})
	}
}

// TestRightsRefused: rights that the target does not take back are an exception, until it does (I10).
func TestRightsRefused(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.Cutover = CutoverManual
	src, dst := s.src.shares(), s.dst.shares()
	src["INBOX"] = map[string]string{"bob": "lr"}
	s.start()
	s.waits()
	hook := s.dst.hook
	s.dst.do(func() {
		delete(src["INBOX"], "bob")
		s.dst.hook = func(verb, args string) (string, bool) {
			if verb == "DELETEACL" {
				return "%t NO [NOPERM] no\r\n", true
			}
			return hook(verb, args)
		}
	})
	s.retry()
	s.held("1 exception: 1 acl")
	s.excepted("INBOX 0 acl")
	s.dst.do(func() { s.dst.hook = hook })
	s.settings.Cutover = CutoverLive
	s.start()
	s.retry()
	s.migrated()
	s.excepted()
	if len(dst["INBOX"]) != 0 {
		t.Errorf("the target has %v", dst)
	}
}

// TestTooManyRights: more identifiers than the note has room for hold the user, rather than that some of them live on in the target
// without a word (I10).
func TestTooManyRights(t *testing.T) {
	s := one(newStage(t, batchCaps))
	src, dst := s.src.shares(), s.dst.shares()
	src["INBOX"] = map[string]string{}
	for i := range maxMarks + 1 {
		src["INBOX"][fmt.Sprint("user", i)] = "lr"
	}
	s.start()
	s.held("1 exception: 1 acl")
	s.dst.do(func() {
		if len(dst["INBOX"]) > 0 {
			t.Errorf("the target has %d", len(dst["INBOX"]))
		}
	})
	s.src.do(func() { delete(src["INBOX"], "user7") })
	s.retry()
	s.migrated()
	s.excepted()
	if !maps.Equal(src["INBOX"], dst["INBOX"]) {
		t.Errorf("the target has %d", len(dst["INBOX"]))
	}
}
