package statetest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"imapferry/state"
)

// exceptionsOf reads the list in pages of three, so that paging is tried in passing.
func (r *rig) exceptionsOf(user string) (all []state.Exception) {
	r.Helper()
	for after := ""; ; {
		page, err := r.Store.Exceptions(r.ctx, user, after, 3)
		r.must(err)
		all = append(all, page...)
		if len(page) < 3 {
			return all
		}
		after = page[2].Key()
	}
}

func (r *rig) wantExceptions(what, user string, want ...state.Exception) {
	r.Helper()
	if got := r.exceptionsOf(user); !slices.Equal(got, want) {
		r.Errorf("%s: exceptions of %s are %+v, want %+v", what, user, got, want)
	}
	counts := map[string]int64{}
	for _, e := range want {
		counts[e.Class]++
	}
	got, err := r.Store.CountExceptions(r.ctx, user)
	r.must(err)
	if !maps.Equal(got, counts) {
		r.Errorf("%s: counts of %s are %v, want %v", what, user, got, counts)
	}
}

func testExceptions(r *rig) {
	l := r.bring("alice", state.Tailing)
	other := r.bring("alice2", state.Tailing)
	r.wantExceptions("none", "alice")
	at := time.Date(2024, 2, 29, 12, 0, 0, 1000, time.UTC)
	account := state.Exception{Class: "names", Text: "x"}
	inbox := state.Exception{Folder: "INBOX", Class: "folder", Text: "cannot be opened", At: at}
	first := state.Exception{Folder: "INBOX", UID: 2, Class: "date", MessageID: "<a@b>", Text: "x", At: at}
	second := state.Exception{Folder: "INBOX", UID: 2, Class: "refused", Text: "x", At: at}
	last := state.Exception{Folder: "INBOX", UID: 1<<32 - 1, Class: "refused", At: at}
	under := state.Exception{Folder: "INBOX/\xff", UID: 256, Class: "too-big", At: at}
	r.must(r.Store.PutExceptions(r.ctx, l, under, last, second))
	r.must(r.Store.PutExceptions(r.ctx, l, account, inbox, first))
	r.must(r.Store.PutExceptions(r.ctx, l))
	r.must(r.Store.PutExceptions(r.ctx, other, inbox))
	r.wantExceptions("in order", "alice", account, inbox, first, second, last, under)
	first.Text, first.At = "y", time.Time{}
	r.must(r.Store.PutExceptions(r.ctx, l, first, first))
	r.wantExceptions("one replaced", "alice", account, inbox, first, second, last, under)
	for range 2 {
		r.must(r.Store.DeleteException(r.ctx, l, state.Exception{Folder: "INBOX", UID: 2, Class: "refused"}))
	}
	r.wantExceptions("one deleted", "alice", account, inbox, first, last, under)
	for range 2 {
		r.must(r.Store.DeleteExceptions(r.ctx, l, "INBOX"))
	}
	r.wantExceptions("a folder's deleted", "alice", account, under)
	r.must(r.Store.DeleteExceptions(r.ctx, l, ""))
	r.wantExceptions("the account's deleted", "alice", under)
	r.wantExceptions("of another user", "alice2", inbox)

	r.Reopen()
	r.wantExceptions("after a restart", "alice", under)
}

func testExceptionsInvalid(r *rig) {
	l := r.bring("alice", state.Copying)
	for _, e := range []state.Exception{
		{Folder: "a\x00b", Class: "x"}, {Folder: strings.Repeat("x", state.MaxFolder+1), Class: "x"},
		{Folder: "a"}, {Class: "Upper"}, {Class: "a b"}, {Class: strings.Repeat("x", 65)},
	} {
		r.want("exception "+e.Class, r.Store.PutExceptions(r.ctx, l, state.Exception{Class: "good"}, e), state.ErrInvalid)
	}
	r.wantExceptions("refused ones", "alice")
	r.must(r.Store.PutExceptions(r.ctx, l, state.Exception{Class: "x", Text: strings.Repeat("\xff", 5000), MessageID: strings.Repeat("é", 5000)}))
	if got := r.exceptionsOf("alice"); len(got) != 1 || len(got[0].Text) > state.MaxReason || len(got[0].MessageID) > 256 {
		r.Errorf("a long one became %+v", got)
	}
}

// Exceptions outlive the switch and the end of the user's move; what does not fit is counted.
func testExceptionsKept(r *rig) {
	l := r.bring("alice", state.Migrated)
	list := make([]state.Exception, state.MaxExceptions+7)
	for i := range list {
		list[i] = state.Exception{Folder: "INBOX", UID: uint32(i + 1), Class: "flags"}
	}
	r.must(r.Store.PutExceptions(r.ctx, l, list...))
	_, err := r.Store.Advance(r.ctx, l, state.Finalized, state.Change{Fidelity: state.Exact})
	r.must(err)
	page, err := r.Store.Exceptions(r.ctx, "alice", "", len(list))
	r.must(err)
	counts, err := r.Store.CountExceptions(r.ctx, "alice")
	r.must(err)
	if len(page) != state.MaxExceptions || counts["flags"] != int64(len(list)) {
		r.Errorf("%d listed and %d counted of %d", len(page), counts["flags"], len(list))
	}
	r.must(r.Store.DeleteExceptions(r.ctx, l, "INBOX"))
	r.wantExceptions("all deleted", "alice")
}
