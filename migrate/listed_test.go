package migrate

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"imapferry/state/boltstate"
)

// TestLastLook: of a source without CONDSTORE all flags are listed under the hold (I1), and the target is opened only for folders
// that are not listed as they were when they were proven.
func TestLastLook(t *testing.T) {
	s := newStage(t, batchCaps)
	for _, f := range []string{"INBOX", "Still", "Flagged", "Expunged", "Grown"} {
		s.src.deliver(f, 1, 2, 5)
	}
	var mu sync.Mutex
	held, opened := false, map[string]bool{}
	s.dst.hook = func(verb, args string) (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if held && verb == "SELECT" {
			opened[strings.Trim(args, `"`)] = true
		}
		return "", false
	}
	s.wrap = func(store *boltstate.Store) Store {
		return &eventful{Store: store, before: func() {}, held: func() {
			s.src.do(func() {
				s.src.folders["Flagged"].mail[1].flags = `\Flagged`
				gone := s.src.folders["Expunged"]
				gone.mail = gone.mail[:2]
			})
			s.src.deliver("Grown", 9)
			mu.Lock()
			defer mu.Unlock()
			held = true
		}}
	}
	s.start()
	s.migrated()
	mu.Lock()
	defer mu.Unlock()
	if len(opened) != 3 || opened["INBOX"] || opened["Still"] {
		t.Errorf("opened under the hold: %v", opened)
	}
}

// TestModSeqFellBack: a source that has lost its mod-sequences, as when its index is made anew, does not tell what has changed since
// an old one. Flags that were changed meanwhile cross all the same (I2).
func TestModSeqFellBack(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1, 2, 3)
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, held: func() {}, before: func() {
			s.src.do(func() {
				s.src.mark("INBOX", 2, `\Flagged`)
				box := s.src.folders["INBOX"]
				box.modSeq = 2
				for _, m := range box.mail {
					m.modSeq = 2
				}
			})
		}}
	}
	s.start()
	s.migrated()
}

// TestNothingChanged: where nothing has changed, the last look under the hold is one flight of commands to each side, however many
// folders there are.
func TestNothingChanged(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.caps = "CONDSTORE ENABLE QRESYNC LIST-STATUS"
	for i := range 100 {
		s.src.deliver(fmt.Sprintf("P%d/F%d", i%7, i), 1, 2)
	}
	var mu sync.Mutex
	held, sent := false, map[string][]string{}
	for name, f := range map[string]*fake{"source": s.src, "target": s.dst} {
		f.hook = func(verb, _ string) (string, bool) {
			mu.Lock()
			defer mu.Unlock()
			if held {
				sent[name] = append(sent[name], verb)
			}
			return "", false
		}
	}
	s.wrap = func(store *boltstate.Store) Store {
		return &eventful{Store: store, before: func() {}, held: func() {
			mu.Lock()
			defer mu.Unlock()
			held = true
		}}
	}
	s.start()
	s.migrated()
	mu.Lock()
	defer mu.Unlock()
	for name, want := range map[string][]string{"source": {"LIST", "LSUB"}, "target": {"LSUB", "LIST"}} { // and what the first straggler pass asks
		if got := sent[name]; !slices.Equal(got[:min(2, len(got))], want) || slices.Contains(got, "STATUS") || slices.Contains(got, "EXAMINE") || slices.Contains(got, "SELECT") || slices.Contains(got, "CREATE") || slices.Contains(got, "DELETE") {
			t.Errorf("the %s was sent %q", name, got)
		}
	}
}
