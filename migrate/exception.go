package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// Exception classes: allow names those that do not keep a user from being switched.
const (
	ClassSameMailbox  = "same-mailbox" // INBOX seems to be another user's
	ClassNames        = "names"        // clients see other names of folders after the switch
	ClassSpecialUse   = "special-use"  // the target's folder does not have a special use
	ClassACL          = "acl"          // the target does not take somebody's rights on a folder
	ClassMetadata     = "metadata"     // the target does not take an annotation
	ClassRefused      = "refused"      // the target refuses the message; it is there as an attachment
	ClassTooBig       = "too-big"      // the target refuses the message for its size; a note is there instead
	ClassUnreadable   = "unreadable"   // the source cannot give the message; a note is there instead
	ClassDate         = "date"         // the target keeps another INTERNALDATE
	ClassFlags        = "flags"        // the target does not keep some flag
	ClassBody         = "body"         // the target's bytes differ, or cannot be compared
	ClassFolder       = "folder"       // the folder stays behind, with all its mail
	ClassSubscription = "subscription" // the target does not take the subscription

	// ClassGone is that the source showed none of the folders that were copied. An operator is asked, and answers by a retry.
	ClassGone = "gone"

	// ClassStraggler is a message that came after the switch and could not be brought over so far. It blocks nothing.
	ClassStraggler = "straggler"
)

// allowClasses are the classes that allow may name.
var allowClasses = []string{
	ClassSameMailbox, ClassNames, ClassRefused, ClassTooBig, ClassUnreadable, ClassDate, ClassFlags, ClassBody, ClassFolder, ClassSubscription, ClassSpecialUse, ClassACL,
	ClassMetadata,
}

// replaced are the classes of messages in whose place the target has another one.
var replaced = []string{ClassRefused, ClassTooBig, ClassUnreadable}

// recorded is the index of a user's exceptions: UIDs by folder and class. UID 0 is the folder itself.
type recorded struct {
	mu sync.Mutex
	of map[string]map[string]wire.Set
}

func (r *recorded) add(e state.Exception) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]map[string]wire.Set{}
	}
	if r.of[e.Folder] == nil {
		r.of[e.Folder] = map[string]wire.Set{}
	}
	set := r.of[e.Folder][e.Class]
	set.Add(e.UID)
	r.of[e.Folder][e.Class] = set
}

// uids returns the messages of folder that have an exception of one of the classes.
func (r *recorded) uids(folder string, classes ...string) (s wire.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range classes {
		s.AddSet(r.of[folder][c])
	}
	return s
}

// remove takes uids out and returns those that were there.
func (r *recorded) remove(folder, class string, uids wire.Set) (removed wire.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.of[folder][class]
	if len(was) == 0 {
		return nil
	}
	left := minus(was, uids)
	r.of[folder][class] = left
	return minus(was, left)
}

// drop takes all of a folder out and reports whether there was any.
func (r *recorded) drop(folder string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.of[folder]
	delete(r.of, folder)
	return ok
}

// folders returns the folders that have an exception of one of the classes.
func (r *recorded) folders(classes ...string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(r.of)) {
		if slices.ContainsFunc(classes, func(c string) bool { return len(r.of[n][c]) > 0 }) {
			names = append(names, n)
		}
	}
	return names
}

// discount takes what is recorded of the folders that out names from counts by class.
func (r *recorded) discount(counts map[string]int64, out func(folder string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for folder, classes := range r.of {
		if folder == theAccount || !out(folder) {
			continue
		}
		for class, uids := range classes {
			counts[class] -= int64(uids.Len())
		}
	}
}

// minus returns what is in a and not in b.
func minus(a, b wire.Set) (s wire.Set) {
	for n := range a.All() {
		if !b.Contains(n) {
			s.Add(n)
		}
	}
	return s
}

// exceptionPage is how many exceptions are read at once.
const exceptionPage = 1000

// load reads what former workers have recorded.
func (r *recorded) load(ctx context.Context, store state.Exceptions, user string) error {
	for after := ""; ; {
		page, err := store.Exceptions(ctx, user, after, exceptionPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			r.add(e)
		}
		if len(page) < exceptionPage {
			return nil
		}
		after = page[len(page)-1].Key()
	}
}

// except records exceptions (I10).
func (w *worker) except(ctx context.Context, list ...state.Exception) error {
	if len(list) == 0 {
		return nil
	}
	now := time.Now()
	for i := range list {
		list[i].At = now
	}
	if err := w.e.cfg.Store.PutExceptions(ctx, w.held(), list...); err != nil {
		return err
	}
	for _, e := range list {
		w.exceptions.add(e)
		w.log.Warn("exception", "folder", e.Folder, "uid", e.UID, "class", e.Class, "text", e.Text)
	}
	return nil
}

// mended takes exceptions back.
func (w *worker) mended(ctx context.Context, folder, class string, uids wire.Set) error {
	for uid := range w.exceptions.remove(folder, class, uids).All() {
		if err := w.e.cfg.Store.DeleteException(ctx, w.held(), state.Exception{Folder: folder, UID: uid, Class: class}); err != nil {
			return err
		}
	}
	return nil
}

// itself is the place of what concerns a whole folder, or the account.
var itself = wire.Set{{}}

// countExceptions reports how many exceptions the user has, and returns them by class.
func (w *worker) countExceptions(ctx context.Context) (map[string]int64, error) {
	counts, err := w.e.cfg.Store.CountExceptions(ctx, w.user)
	var all int64
	for _, n := range counts {
		all += n
	}
	if err == nil {
		w.progress.exceptions.Store(all)
	}
	return counts, err
}

// gate holds the user for exceptions that the operator has not allowed, but for those of folders that are left out by now. One that may
// be of a moment only is looked at again first.
func (w *worker) gate(ctx context.Context) error {
	if err := w.triedTwice(); err != nil {
		return err
	}
	counts, err := w.countExceptions(ctx)
	if err != nil {
		return err
	}
	w.exceptions.discount(counts, w.leftOut)
	var blocking int64
	var kinds, allow []string
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		if counts[class] > 0 && !w.e.cfg.allows(class) {
			blocking += counts[class]
			kinds = append(kinds, fmt.Sprintf("%d %s", counts[class], class))
			allow = append(allow, fmt.Sprintf("%q", class))
		}
	}
	if blocking == 0 {
		return nil
	}
	exceptions := "exceptions"
	if blocking == 1 {
		exceptions = "exception"
	}
	return holdf("%d %s: %s; see imapferry exceptions %s, then allow = [%s] or mend and retry",
		blocking, exceptions, strings.Join(kinds, ", "), w.user, strings.Join(allow, ", "))
}
