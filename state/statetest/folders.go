package statetest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"imapferry/state"
)

func sameFolder(a, b state.Folder) bool {
	return bytes.Equal(a.Engine, b.Engine) && a.Name == b.Name && a.UIDValidity == b.UIDValidity && a.TargetUIDValidity == b.TargetUIDValidity &&
		a.UIDNext == b.UIDNext && a.HighestModSeq == b.HighestModSeq && a.Messages == b.Messages && slices.Equal(a.Skipped, b.Skipped)
}

func (r *rig) wantFolders(what, user string, want ...state.Folder) {
	r.Helper()
	got, err := r.Store.Folders(r.ctx, user)
	r.must(err)
	byName := func(a, b state.Folder) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(got, byName)
	slices.SortFunc(want, byName)
	if !slices.EqualFunc(got, want, sameFolder) {
		r.Errorf("%s: folders of %s are %.300q, want %.300q", what, user, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func testFolders(r *rig) {
	l := r.bring("alice", state.Copying)
	other := r.bring("alice2", state.Copying)
	r.wantFolders("none", "alice")
	full := state.Folder{
		Name: "INBOX", UIDValidity: 1<<32 - 1, TargetUIDValidity: 1 << 31, UIDNext: 17, HighestModSeq: 1<<63 + 5, Messages: 12,
		Target: "Name \xe4 there", Skipped: []state.Gap{{From: 1, To: 200_000}, {From: 300_000, To: 1<<32 - 1}}, Engine: []byte{0, 0xff, '\n', 0x80},
	}
	empty := state.Folder{Name: "Sent"}
	r.must(r.Store.PutFolders(r.ctx, l))
	r.must(r.Store.PutFolders(r.ctx, l, full, empty))
	r.must(r.Store.PutFolders(r.ctx, other, state.Folder{Name: "INBOX", UIDNext: 1}))
	r.wantFolders("two", "alice", full, empty)
	full.Engine, full.UIDNext = nil, 18
	r.must(r.Store.PutFolders(r.ctx, l, full))
	r.wantFolders("one replaced", "alice", full, empty)
	r.must(r.Store.DeleteFolder(r.ctx, l, "Sent"))
	r.must(r.Store.DeleteFolder(r.ctx, l, "Sent"))
	r.must(r.Store.DeleteFolder(r.ctx, l, "never seen"))
	r.wantFolders("one deleted", "alice", full)
	r.wantFolders("of another user", "alice2", state.Folder{Name: "INBOX", UIDNext: 1})
}

// Names are what servers send: any bytes but NUL. Users whose names are alike do not share folders.
func testFolderNames(r *rig) {
	odd := []string{
		"INBOX", "inbox", "INBOX ", " ", `a"b`, `a\b`, "a\nb", "a/b", "a.b", "&AOk-", "Entwürfe", "\xe4\xf6\xfc", "\xff", "\xc3", "\x01", "\u2028",
		"a{b}", "%", "*", "0", "-1", "a b", strings.Repeat("x", state.MaxFolder),
	}
	for _, user := range []string{"al", "al/b", "al {b}"} {
		l := r.bring(user, state.Copying)
		var want []state.Folder
		for i, name := range odd {
			f := state.Folder{Name: name, UIDNext: uint32(i + len(user)), Engine: []byte(user)}
			r.must(r.Store.PutFolders(r.ctx, l, f))
			want = append(want, f)
		}
		r.wantFolders("odd names", user, want...)
		r.must(r.Store.DeleteFolder(r.ctx, l, "\xff"))
		want = slices.DeleteFunc(want, func(f state.Folder) bool { return f.Name == "\xff" })
		r.wantFolders("odd names but one", user, want...)
	}
}

func testFolderInvalid(r *rig) {
	l := r.bring("alice", state.Copying)
	for _, f := range []state.Folder{
		{Name: ""}, {Name: "a\x00b"}, {Name: strings.Repeat("x", state.MaxFolder+1)}, {Name: "a", Engine: make([]byte, state.MaxEngine+1)},
		{Name: "a", Target: strings.Repeat("x", state.MaxFolder+1)}, {Name: "a", Skipped: make([]state.Gap, state.MaxSkipped+1)},
	} {
		r.want(fmt.Sprintf("folder %.10q with %d bytes", f.Name, len(f.Engine)), r.Store.PutFolders(r.ctx, l, f), state.ErrInvalid)
	}
	good := state.Folder{Name: "good"}
	r.want("a good folder and a bad one", r.Store.PutFolders(r.ctx, l, good, state.Folder{}, good), state.ErrInvalid)
	r.wantFolders("refused ones", "alice")
	large := state.Folder{Name: "large", Engine: bytes.Repeat([]byte{0xfe}, state.MaxEngine)}
	r.must(r.Store.PutFolders(r.ctx, l, large))
	r.wantFolders("the largest", "alice", large)
	many := []state.Folder{large}
	for i := range 500 {
		many = append(many, state.Folder{Name: fmt.Sprint("folder ", i), UIDNext: uint32(i + 1)})
	}
	r.must(r.Store.PutFolders(r.ctx, l, many...))
	r.wantFolders("many at once", "alice", many...)
}

// The relay needs the table of translated users for good, that of exact users never again, unless there are gaps.
func testFoldersForgotten(r *rig) {
	for _, c := range []struct {
		fidelity state.Fidelity
		skipped  int64
		kept     bool
	}{{state.Exact, 0, false}, {state.Exact, 1, true}, {state.Translated, 0, true}} {
		user := fmt.Sprint(c.fidelity, c.skipped)
		l := r.bring(user, state.Migrated)
		r.must(r.Store.Report(r.ctx, l, state.Progress{Skipped: c.skipped}))
		f := state.Folder{Name: "INBOX", UIDValidity: 1, TargetUIDValidity: 2}
		r.must(r.Store.PutFolders(r.ctx, l, f))
		r.must(r.Store.PutFolders(r.ctx, l, state.Folder{Name: "Sent"}))
		_, err := r.Store.Advance(r.ctx, l, state.Migrated, state.Change{Fidelity: c.fidelity})
		r.must(err)
		r.wantFolders("migrated", user, f, state.Folder{Name: "Sent"})
		r.advance(l, state.Finalized)
		if c.kept {
			r.wantFolders("finalized", user, f, state.Folder{Name: "Sent"})
		} else {
			r.wantFolders("finalized", user)
		}
	}
}
