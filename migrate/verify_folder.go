package migrate

import (
	"errors"
	"fmt"
	"math"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// verifyLooks is how often a folder of a living source is looked at before a difference counts: what was changed
// between the two listings, or is being brought over at this moment, is equal a moment later.
const verifyLooks = 2

// sides is one folder on both sides. After the switch the target's alone may change while it is looked at.
type sides struct {
	name     string
	srcThere status
	dstThere *status // nil: the target has no such folder
	src, dst listing
	next     uint32       // UIDs below are comparable
	proven   state.Folder // the zero Folder if nothing was ever proven
	late     late         // what straggler passes have done
	diff     difference
}

// folder compares one folder that the source has. m is nil or not selectable if the target has no such folder.
func (v *verification) folder(name string, inSrc, m *mailbox) error {
	there := m != nil && m.selectable
	if !there {
		v.absent(name, inSrc)
	}
	looks := verifyLooks
	if v.onTarget || !there {
		looks = 1
	}
	var s *sides
	for range looks {
		var err error
		if s, err = v.look(name, inSrc, m, there); err != nil {
			return v.unopened(name, err)
		}
		if s.diff.empty() {
			break
		}
	}
	v.sum.Messages += uint64(len(s.src))
	if s.proven.UIDValidity != 0 && s.proven.UIDValidity != s.srcThere.uidValidity {
		v.recreated(s)
		return nil
	}
	if there {
		v.numbers(s)
	}
	v.uids(s)
	if !there {
		return nil
	}
	if err := v.attributes(s); err != nil {
		return err
	}
	return v.bodies(s)
}

// absent tells that the target lacks the folder. Its messages are told of later.
func (v *verification) absent(name string, inSrc *mailbox) {
	d := Difference{Kind: KindFolder, Folder: name, Messages: uint64(inSrc.status.messages)}
	d.Text = fmt.Sprintf("not in the target; %d messages in the source", inSrc.status.messages)
	_, copied := v.table[name]
	switch {
	case v.onTarget && (copied || v.sum.Phase == state.Finalized):
		d.Note, d.Text = true, d.Text+"; it was there at the switch and has been deleted or renamed since"
	case v.onTarget && inSrc.status.messages == 0:
		d.Note, d.Text = true, "made in the source since the switch, and empty"
	}
	v.say(d)
}

// unopened makes a difference of a folder that a server lists and does not open. Any other error ends the verification.
func (v *verification) unopened(name string, err error) error {
	var refused *backend.Refused
	if !errors.As(err, &refused) || refused.Status != "NO" {
		return err
	}
	v.say(Difference{Kind: KindFolder, Folder: name, Text: "cannot be compared: " + err.Error()})
	return nil
}

// look lists the folder on both sides, the source first, and leaves it open.
func (v *verification) look(name string, inSrc, inDst *mailbox, there bool) (*sides, error) {
	s := &sides{name: name, proven: v.table[name]}
	n, err := readNote(s.proven)
	if err != nil {
		return nil, err
	}
	if n.Late != nil {
		s.late = *n.Late
	}
	if s.srcThere, s.src, err = v.src.examineAndList(name, inSrc.status); err != nil {
		return nil, err
	}
	if there {
		var st status
		if st, s.dst, err = v.dst.examineAndList(name, inDst.status); err != nil {
			return nil, err
		}
		s.dstThere = &st
	}
	s.next = v.comparable(s)
	s.diff = compare(s.src, s.dst, s.next)
	return s, nil
}

// examineAndList opens a folder read-only (I4) and lists it. Some servers do not tell UIDNEXT then, but in STATUS.
func (c *client) examineAndList(folder string, before status) (status, listing, error) {
	s, err := c.openFolder(folder, false)
	if err != nil {
		return s, nil, err
	}
	if s.uidNext == 0 {
		s.uidNext = before.uidNext
	}
	l, err := c.list(1, "FLAGS INTERNALDATE")
	return s, l, err
}

// comparable tells up to which UID the same UID means the same message. For a finalized user whose folders are
// forgotten the source is taken to be as it was.
func (v *verification) comparable(s *sides) uint32 {
	switch {
	case !v.onTarget:
		return math.MaxUint32
	case s.proven.UIDValidity != 0:
		return s.proven.UIDNext
	case v.sum.Phase == state.Finalized && len(v.table) == 0:
		return s.srcThere.uidNext
	}
	return 1 // the folder has come to be after the switch
}

// recreated tells of a source folder that is not the one that was copied: its UIDs say nothing about the target's.
func (v *verification) recreated(s *sides) {
	v.say(Difference{
		Kind: KindUIDValidity, Folder: s.name, Source: fmt.Sprint(s.srcThere.uidValidity), Target: fmt.Sprint(s.proven.UIDValidity),
		Note: s.late.UIDValidity == s.srcThere.uidValidity,
		Text: fmt.Sprintf("%d in the source, which has deleted and made the folder again; the one that was copied had %d", s.srcThere.uidValidity, s.proven.UIDValidity),
	})
	v.arrived(s, uidsFrom(s.src, 1))
}

// numbers compares UIDVALIDITY as clients see it, and UIDNEXT.
func (v *verification) numbers(s *sides) {
	if s.next == 1 && v.onTarget {
		return // two folders that have nothing but their name in common
	}
	if seen := v.seen(s); seen != s.srcThere.uidValidity {
		v.say(Difference{
			Kind: KindUIDValidity, Folder: s.name, Source: fmt.Sprint(s.srcThere.uidValidity), Target: fmt.Sprint(seen),
			Text: fmt.Sprintf("%d in the source, clients of the target see %d", s.srcThere.uidValidity, seen),
		})
	}
	due := s.srcThere.uidNext
	if v.onTarget {
		due = s.next
	}
	if s.dstThere.uidNext < due {
		v.say(Difference{
			Kind: KindUIDNext, Folder: s.name, Source: fmt.Sprint(due), Target: fmt.Sprint(s.dstThere.uidNext),
			Text: fmt.Sprintf("the target's is %d, but UIDs below %d are taken", s.dstThere.uidNext, due),
		})
	}
}

// seen returns the UIDVALIDITY that clients see in the target: for translated users the relay's table says it.
func (v *verification) seen(s *sides) uint32 {
	if !v.exact && s.proven.UIDValidity != 0 && s.proven.TargetUIDValidity == s.dstThere.uidValidity {
		return s.proven.UIDValidity
	}
	return s.dstThere.uidValidity
}

// uids tells which messages are on one side only.
func (v *verification) uids(s *sides) {
	late := uidsFrom(s.src, s.next)
	v.sum.Present += uint64(len(s.src)) - s.diff.missing.Len() - late.Len()
	if !v.onTarget {
		v.missing(s.name, s.diff.missing, "not in the target")
		v.sayUIDs(Difference{Kind: KindExtra, Folder: s.name, Text: "in the target only"}, s.diff.extra)
		return
	}
	v.arrived(s, late)
	v.sum.Removed += s.diff.missing.Len()
	v.sayUIDs(Difference{Kind: KindRemoved, Note: true, Folder: s.name, Text: "in the target at the switch; deleted or moved there since"}, s.diff.missing)
	v.sayUIDs(Difference{Kind: KindExtra, Note: true, Folder: s.name, Text: "removed from the source since the switch"}, s.diff.extra)
	v.sayUIDs(Difference{Kind: KindExtra, Note: true, Folder: s.name, Text: "new in the target since the switch"}, uidsFrom(s.dst, s.next))
}

// arrived tells of messages that the source has got after the switch, and whether straggler passes have dealt with them.
func (v *verification) arrived(s *sides, uids wire.Set) {
	var brought, missing wire.Set
	for uid := range uids.All() {
		if s.late.UIDValidity == s.srcThere.uidValidity && uid < s.late.UIDNext && !s.late.Left.Contains(uid) {
			brought.Add(uid)
		} else {
			missing.Add(uid)
		}
	}
	v.sum.Stragglers += brought.Len()
	v.sayUIDs(Difference{Kind: KindStraggler, Note: true, Folder: s.name, Text: "arrived in the source after the switch; brought over, or found in the target"}, brought)
	v.missing(s.name, missing, "arrived in the source after the switch; not brought over")
}

func (v *verification) missing(folder string, uids wire.Set, text string) {
	v.sum.Missing += uids.Len()
	v.sayUIDs(Difference{Kind: KindMissing, Folder: folder, Text: text}, uids)
}
