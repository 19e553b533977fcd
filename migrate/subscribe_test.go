package migrate

import (
	"strings"
	"sync"
	"testing"
)

// TestSubscriptionLeavesNoFolder: a folder that is made for a moment goes again although its subscription is refused (I2).
func TestSubscriptionLeavesNoFolder(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.Allow = []string{ClassSubscription}
	s.src.do(func() { s.src.subs["Gone"] = true })
	s.dst.hook = func(verb, _ string) (string, bool) { return "%t NO no such folder\r\n", verb == "SUBSCRIBE" }
	s.start()
	s.crossed()
	s.excepted("Gone 0 subscription")
	if s.dst.folders["Gone"] != nil {
		t.Error("the folder is still there")
	}
}

// TestSubscriptionMadeAllTheSame: a folder that the target has made for a moment although it said no goes again (I2).
func TestSubscriptionMadeAllTheSame(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.do(func() { s.src.subs["Gone"] = true })
	var once sync.Once
	s.dst.hook = func(verb, args string) (answer string, ok bool) {
		missing := false
		s.dst.do(func() { missing = s.dst.folders["Gone"] == nil })
		switch {
		case verb == "SUBSCRIBE" && missing:
			return "%t NO no such folder\r\n", true
		case verb == "CREATE" && strings.Contains(args, "Gone"):
			once.Do(func() {
				s.dst.do(func() { s.dst.create("Gone") })
				answer, ok = "%t NO out of cheese\r\n", true
			})
		}
		return answer, ok
	}
	s.start()
	s.crossed()
	if s.dst.folders["Gone"] != nil || !s.dst.subs["Gone"] {
		t.Errorf("folders %v, subscriptions %v", s.dst.folders, s.dst.subs)
	}
}
