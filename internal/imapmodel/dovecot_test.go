package imapmodel_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"imapferry/internal/imapmodel"
	"imapferry/internal/testbed"
)

// Against a real server nothing is found: whatever the model finds elsewhere is not of its own making.
func TestRandomNoFalseAlarm(t *testing.T) {
	seeds, all := testbed.Soak(t)
	steps := uint64(60)
	if all {
		steps = 300
	}
	for _, format := range []string{"maildir", "mdbox"} {
		t.Run(format, func(t *testing.T) {
			bed := testbed.ForTest(t)
			users := map[string]string{}
			for seed := range seeds {
				users[fmt.Sprintf("user%d", seed)] = "pass"
			}
			server, err := bed.Dovecot(testbed.DovecotOptions{Format: format, Plugins: true, Users: users})
			if err != nil {
				t.Fatal(err)
			}
			for seed := range seeds {
				t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
					work(t, server.IMAP(), fmt.Sprintf("user%d", seed), seed, steps)
				})
			}
		})
	}
}

func work(t *testing.T, addr, user string, seed, steps uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dial := imapmodel.Clear(addr)
	a, err := imapmodel.Fill(ctx, dial, user, "pass", imapmodel.Spec{Folders: 3, Messages: 120, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	out := a.Run(ctx, imapmodel.Load{Dial: dial, Sessions: 8, Seed: seed, Pause: 20 * time.Millisecond, Steps: steps})
	for _, p := range append(out.Problems, a.Verify(ctx, dial, true)...) {
		t.Error(p)
	}
	if len(out.Ended) > 0 {
		t.Error("sessions were ended")
	}
	t.Log(&out)
}
