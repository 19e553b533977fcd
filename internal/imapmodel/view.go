package imapmodel

import (
	"fmt"
	"slices"
)

// view is an open folder as one session has been told of it. It is guarded by Account.mu, as all that the session knows.
type view struct {
	in       *folder
	readOnly bool
	stamp    int64 // when SELECT was sent
	floors   floors
	msgs     []*message // by sequence number
	counted  bool       // EXISTS has come
	open     bool       // SELECT is over
	next     uint32     // UIDNEXT as the server said it
	validity uint32
	modseq   uint64
	keywords map[string]bool // FLAGS
	saved    []*message      // SEARCH RETURN (SAVE)
	enables  bool            // CONDSTORE, by a parameter of SELECT
	before   *view           // what was open until SELECT was sent
	since    *cache          // the client has asked for what has changed since then
}

// message is one message of a view.
type message struct {
	uid    uint32 // 0: not told
	flags  flags
	known  bool // the flags are
	modseq uint64
	told   int  // how often flags were told
	toldIn int  // Session.answers when they were told last
	old    bool // it was there when the folder was opened
	gone   bool
}

func (v *view) exists(n uint32) error {
	v.counted = true
	if int(n) < len(v.msgs) {
		return fmt.Errorf("EXISTS falls from %d to %d without EXPUNGE", len(v.msgs), n)
	}
	for int(n) > len(v.msgs) {
		v.msgs = append(v.msgs, &message{})
	}
	return nil
}

// at returns the message with a sequence number.
func (v *view) at(seq uint32) (*message, error) {
	if seq < 1 || int(seq) > len(v.msgs) {
		return nil, fmt.Errorf("sequence number %d of %d messages", seq, len(v.msgs))
	}
	return v.msgs[seq-1], nil
}

func (v *view) expunge(seq uint32) (*message, error) {
	m, err := v.at(seq)
	if err == nil {
		v.msgs = slices.Delete(v.msgs, int(seq)-1, int(seq))
		m.gone = true
	}
	return m, err
}

// vanish removes a message by its UID. One that was not told yet is one of those between its neighbours; which one they
// are is not known, nor to whom belongs what was told of them by sequence number.
func (v *view) vanish(uid uint32) (*message, error) {
	if m := v.byUID(uid); m != nil {
		return v.expunge(uint32(slices.Index(v.msgs, m)) + 1)
	}
	from, to := 0, len(v.msgs)
	for i, m := range v.msgs {
		newer := v.open && !m.old && uid < v.next
		if m.uid != 0 && m.uid < uid || v.open && m.old && uid >= v.next {
			from = i + 1
		} else if m.uid > uid || newer {
			to = i
			break
		}
	}
	if from >= to {
		return nil, fmt.Errorf("UID %d vanishes, but is not in the folder", uid)
	}
	for _, m := range v.msgs[from:to] {
		m.known, m.modseq = false, 0
	}
	v.msgs[from].uid = uid
	return v.expunge(uint32(from) + 1)
}

// setUID notes the UID of a message. Neighbours whose UIDs are known must leave room for those between (RFC 9051, 2.3.1.1).
func (v *view) setUID(seq uint32, uid uint32) error {
	m := v.msgs[seq-1]
	if m.uid == uid {
		return nil
	}
	if m.uid != 0 {
		return fmt.Errorf("message %d has UID %d, had %d", seq, uid, m.uid)
	}
	for i := int(seq) - 2; i >= 0; i-- {
		if u := v.msgs[i].uid; u != 0 {
			if uid < u+uint32(int(seq)-1-i) {
				return fmt.Errorf("message %d has UID %d, but message %d has %d", seq, uid, i+1, u)
			}
			break
		}
	}
	for i := int(seq); i < len(v.msgs); i++ {
		if u := v.msgs[i].uid; u != 0 {
			if uid+uint32(i+1-int(seq)) > u {
				return fmt.Errorf("message %d has UID %d, but message %d has %d", seq, uid, i+1, u)
			}
			break
		}
	}
	if v.open && m.old != (uid < v.next) {
		return fmt.Errorf("UID %d of message %d does not go with UIDNEXT %d at the opening", uid, seq, v.next)
	}
	m.uid = uid
	return v.meet(m)
}

// meet looks up in the ledger a message whose UID has just been told.
func (v *view) meet(m *message) error {
	if c := v.in.copies[m.uid]; c != nil && c.gone != 0 && c.gone <= v.stamp {
		return fmt.Errorf("UID %d of %s is there again after it was expunged", m.uid, v.in.name)
	}
	v.in.copy(m.uid)
	return nil
}

// byUID returns the message with a UID, or nil.
func (v *view) byUID(uid uint32) *message {
	i := slices.IndexFunc(v.msgs, func(m *message) bool { return m.uid == uid })
	if i < 0 {
		return nil
	}
	return v.msgs[i]
}

// mapped reports whether all UIDs are known.
func (v *view) mapped() bool {
	return !slices.ContainsFunc(v.msgs, func(m *message) bool { return m.uid == 0 })
}

// complete demands, once all UIDs are known, that nothing is missing that was acknowledged before the folder was opened.
func (v *view) complete() error {
	if !v.mapped() {
		return nil
	}
	missing := v.in.certain(v.stamp)
	for _, m := range v.msgs {
		delete(missing, m.uid)
	}
	for uid := range missing {
		return fmt.Errorf("UID %d of %s (%s) is missing", uid, v.in.name, v.in.copies[uid].id)
	}
	return nil
}

// ready checks what SELECT must have told by its end (RFC 9051, 6.3.2), and what is in the folder at least.
func (v *view) ready(extended bool) error {
	switch {
	case !v.counted || v.keywords == nil || v.validity == 0:
		return fmt.Errorf("SELECT ends without EXISTS, FLAGS or UIDVALIDITY")
	case v.next == 0:
		return fmt.Errorf("SELECT ends without UIDNEXT")
	case extended && v.modseq == 0:
		return fmt.Errorf("SELECT ends without HIGHESTMODSEQ")
	}
	v.open = true
	for _, m := range v.msgs {
		m.old = true
	}
	if least := len(v.in.certain(v.stamp)); least > len(v.msgs) {
		return fmt.Errorf("%s is opened with %d messages, but %d are stored for certain", v.in.name, len(v.msgs), least)
	}
	return nil
}

// doomed reports whether somebody has asked for the removal of a message.
func (v *view) doomed(m *message) bool { return m.uid != 0 && v.in.copy(m.uid).doomed() }
