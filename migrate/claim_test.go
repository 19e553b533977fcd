package migrate

import "testing"

// TestExpungedWhileClaimed: a client removes the oldest message while the fingerprint is read, so its header is NIL. The user was held
// for that, until an operator came.
func TestExpungedWhileClaimed(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2)
	s.src.hook = func(verb, _ string) (string, bool) {
		if verb != "FETCH" {
			return "", false
		}
		s.src.do(func() {
			s.src.hook = nil
			s.src.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 1 })
		})
		return "* 1 FETCH (UID 1 INTERNALDATE \"" + fakeDate + "\" RFC822.SIZE 0 BODY[HEADER] NIL)\r\n" +
			"* 2 FETCH (UID 2 INTERNALDATE \"" + fakeDate + "\" RFC822.SIZE 9 BODY[HEADER] {4}\r\n\r\n\r\n)\r\n%t OK [EXPUNGEISSUED] done\r\n", true
	}
	s.start()
	s.crossed()
}
