package migrate

import (
	"errors"
	"fmt"
	"io"

	"imapferry/internal/wire"
)

// A source whose store of bodies is away for a while answers everything else, and refuses message after message within moments. So what it
// does not give is unreadable only if it gives another message, a witness, at that time.

// maxWitnesses bounds how many messages of a folder, and how many other folders, are asked for a witness.
const maxWitnesses = 3

// blame returns nil if the message uid of the source's open folder is to blame for not being given. It is not if nothing is given of what
// was before. Where none of the folder was so far, what lies behind may be as bad as the message, and other folders count too. The only
// message that there is has no witness, and is to blame. The source's connection may be another one afterwards, with another folder.
func (l *lane) blame(folder string, uid uint32, cause error) error {
	list, err := l.src.list(1, "FLAGS")
	if err != nil {
		return err
	}
	bad := l.w.exceptions.uids(folder, ClassUnreadable)
	var before, behind []uint32 // newest first
	for i := len(list) - 1; i >= 0; i-- {
		switch n := list[i].uid; {
		case n > uid:
			behind = append(behind, n)
		case n < uid && !bad.Contains(n):
			before = append(before, n)
		}
	}
	asked := before
	if len(before) == 0 {
		asked = behind
	}
	given, err := l.gives(folder, asked)
	none := len(asked) == 0
	if err == nil && !given && len(before) == 0 {
		var asked int
		given, asked, err = l.givesElsewhere(folder)
		none = none && asked == 0
	}
	if err != nil || given || none {
		return err
	}
	return fmt.Errorf("%s uid %d: the source does not give it, nor any other message just now: %v", wire.Quoted(folder), uid, cause)
}

// gives reports whether the source gives one of the messages uids of folder.
func (l *lane) gives(folder string, uids []uint32) (given bool, err error) {
	for _, uid := range uids[:min(len(uids), maxWitnesses)] {
		if l.src.selected != folder {
			if _, err := l.src.openFolder(folder, false); err != nil {
				return false, err
			}
		}
		err := l.src.stream(uid, uid, func(_ *message, _ int64, body io.Reader) error {
			if _, err := io.Copy(io.Discard, body); err != nil {
				return unread{uid, err}
			}
			given = true
			return nil
		})
		if given || errors.Is(err, errBodyFirst) {
			return true, nil
		}
		if _, about := aboutMessage(err); about {
			err = l.reopen()
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// givesElsewhere reports whether the source gives the newest message of another folder, and how many it was asked for.
func (l *lane) givesElsewhere(folder string) (given bool, asked int, err error) {
	for _, n := range l.w.surveyed.names() {
		if n == folder || l.w.surveyed.mailboxes[n].status.messages == 0 || asked == maxWitnesses {
			continue
		}
		_, err := l.src.openFolder(n, false)
		if declined(err) {
			continue
		}
		if err != nil {
			return false, asked, err
		}
		newest, err := l.src.listing("*", 1, "FLAGS")
		if err != nil {
			return false, asked, err
		}
		bad := l.w.exceptions.uids(n, ClassUnreadable)
		if len(newest) == 0 || bad.Contains(newest[0].uid) {
			continue
		}
		asked++
		if given, err = l.gives(n, []uint32{newest[0].uid}); given || err != nil {
			return given, asked, err
		}
	}
	return false, asked, nil
}
