package migrate

import (
	"strings"
	"testing"
	"time"
)

// TestTooSlow: who cannot be cut over within the budget is told a budget that lets the next look pass, or that none does (I10).
func TestTooSlow(t *testing.T) {
	tests := []struct {
		look time.Duration
		want string
	}{
		{1600 * time.Millisecond, "takes 1.6s, over half of hold_budget (3s): raise migrate.hold_budget to 5s, then retry"},
		{19 * time.Second, "raise migrate.hold_budget to 58s, then retry"},
		{20 * time.Second, "takes 20s, too long for sessions to be held (migrate.hold_budget is at most 1m0s)"},
	}
	for _, tt := range tests {
		if err := tooSlow(tt.look, 3*time.Second); !strings.Contains(err.Error(), tt.want) {
			t.Errorf("tooSlow(%s) = %v; want %s", tt.look, err, tt.want)
		}
	}
}
