package journal_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/state"
	"imapferry/state/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// samples are users with and without a view.
var samples = []journal.Switch{
	journal.Of(state.Record{User: "alice", Attempt: "x1", Fidelity: state.Exact, Migrated: at("2026-03-01T10:00:00.000000001Z")},
		[]state.Folder{{Name: "INBOX", UIDValidity: 7, TargetUIDValidity: 7, Engine: []byte("note")}}),
	journal.Of(state.Record{User: "bob", Attempt: "x2", Fidelity: state.Exact, Progress: state.Progress{Skipped: 1}},
		[]state.Folder{{Name: "whole"}, {Name: "gaps", UIDNext: 9, Skipped: []state.Gap{{From: 3, To: 5}}}}),
	journal.Of(state.Record{User: "cärol", Attempt: "x3", Fidelity: state.Translated},
		[]state.Folder{{Name: "b\xe4", Target: "there", UIDValidity: 1 << 31, TargetUIDValidity: 2, HighestModSeq: 1 << 60}, {Name: "a"}}),
}

// TestKept demands that what was noted is there for the next process, whatever is in the names.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for _, s := range samples {
		if err := j.Note(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	for _, want := range samples {
		got, ok, err := j.Find(want.User)
		if err != nil || !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("found %+v, %v, %v; want %+v", got, ok, err, want)
		}
	}
	if s, ok, err := j.Find("dave"); ok || err != nil {
		t.Errorf("found %+v (%v)", s, err)
	}
	if n := samples[2].Record(); n.Phase != state.Migrated || n.Fidelity != state.Translated || !n.NeedsView() {
		t.Errorf("the record is %+v", n)
	}
	if len(samples[0].Folders) != 0 || len(samples[1].Folders) != 1 || samples[1].Record().Skipped != 1 || len(samples[2].Folders) != 2 {
		t.Errorf("folders that no view needs are kept, or others are not: %+v", samples)
	}
}

// TestPages reads all switches in pages.
func TestPages(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	var all sync.WaitGroup
	for i := range 250 {
		all.Go(func() {
			for range 2 { // the second time costs no write, and does no harm
				if err := j.Note(journal.Switch{User: fmt.Sprintf("user%03d", i), Attempt: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var users []string
	for after := ""; ; {
		page, err := j.After(after, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page {
			users = append(users, s.User)
		}
		if len(page) < 100 {
			break
		}
		after = page[len(page)-1].User
	}
	if len(users) != 250 || users[0] != "user000" || users[249] != "user249" {
		t.Errorf("%d users: %v", len(users), users)
	}
}

// TestInUse says who holds a file that a second process opens: with one journal between them neither knew what is its own.
func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open(t, path)
	if _, err := journal.Open(path); err == nil || !strings.Contains(err.Error(), "another imapferry process") {
		t.Error(err)
	}
}

// TestBind keeps the switches of one store from another: of two stores that have nothing to do with each other the second would have
// taken users for switched who are not.
func TestBind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	bind := func(what, id string, want error) {
		t.Helper()
		if err := j.Bind(id); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	bind("a new one", "A", nil)
	bind("to another one while it has nothing", "B", nil)
	if err := j.Note(samples[0]); err != nil {
		t.Fatal(err)
	}
	bind("to its own", "B", nil)
	bind("to another one", "A", journal.ErrForeign)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	bind("to another one, after a restart", "A", journal.ErrForeign)
	if err := j.Adopt("A"); err != nil {
		t.Fatal(err)
	}
	bind("to the one that it was given to", "A", nil)
	bind("to the one before", "B", journal.ErrForeign)
}
