package migrate

import (
	"context"
	"fmt"

	"imapferry/state"
)

// fewMessages are too few to ask an operator about when they are gone.
const fewMessages = 3

// surveySource surveys the source, and demands before anything is removed by what it tells that it is still the source that was copied.
func (w *worker) surveySource(ctx context.Context) (*account, error) {
	src, err := w.surveyUnlocked()
	if err != nil {
		return nil, err
	}
	if err := w.choose(src); err != nil {
		return nil, err
	}
	return src, w.stillThere(ctx, src)
}

// stillThere holds the user if the source shows none of the folders that were copied, be it an empty one: a server whose storage is not mounted makes a
// new INBOX and lists nothing else, and the target would be emptied by that. A folder is known by its UIDVALIDITY, whatever its name is.
// An INBOX that was made anew on purpose cannot be told from this, so an operator is asked about it, too, and answers by a retry. What a
// user expunges leaves its folder, and a folder that does not open loses nothing.
func (w *worker) stillThere(ctx context.Context, src *account) error {
	shown := map[uint32]bool{}
	for _, m := range src.mailboxes {
		shown[m.status.uidValidity] = true
	}
	var folders int
	var messages int64
	for n, f := range w.known() {
		if m := src.mailboxes[n]; f.UIDValidity == 0 || w.leftOut(n) || m != nil && m.unopened != "" {
			continue
		}
		if shown[f.UIDValidity] {
			return w.mended(ctx, theAccount, ClassGone, itself)
		}
		if f.Messages > 0 {
			folders, messages = folders+1, messages+int64(f.Messages)
		}
	}
	if messages < fewMessages {
		return w.mended(ctx, theAccount, ClassGone, itself)
	}
	asked := len(w.exceptions.uids(theAccount, ClassGone)) > 0
	if asked && w.fresh { // a retry before that was no answer
		return nil
	}
	reason := fmt.Sprintf("the source shows none of the folders that were copied (%d, with %d messages); is its storage in order? "+
		"Retry when it is; if they are gone for good, a retry removes them from the target", folders, messages)
	if !asked {
		if err := w.except(ctx, state.Exception{Folder: theAccount, Class: ClassGone, Text: reason}); err != nil {
			return err
		}
	}
	return hold{reason}
}
