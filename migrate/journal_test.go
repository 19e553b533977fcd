package migrate

import (
	"path/filepath"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/journal"
)

// TestOlderStore starts with a store that was restored to a time before the switch of alice, who has written to the target since and
// deleted there. The worker would have made the target again what the source is (I7); the node's journal knows better.
func TestOlderStore(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.dst.deliver("INBOX", 9)
	var err error
	if s.journal, err = journal.Open(filepath.Join(testbed.InMemory(t), "journal")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(); s.journal.Close() })
	if err := s.journal.Note(journal.Switch{User: "alice", Attempt: "before", Fidelity: state.Exact}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Offer(s.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	s.start()
	rec := s.await("repaired", func(r state.Record) bool { return r.Phase == state.Migrated })
	s.idle()
	if rec.Attempt != "before" || rec.Reason != state.Repaired {
		t.Errorf("repaired to %+v", rec)
	}
	if got := s.dst.bodies(); len(got) != 1 {
		t.Errorf("the target holds %v", got)
	}
}
