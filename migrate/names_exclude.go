package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// rule returns what leaves out a folder with the given uses, or "".
func (v *view) rule(name, uses string) string {
	if prefix, ok := v.layout.shared(v.there(name)); ok && !v.shared {
		return fmt.Sprintf("namespace %q", prefix)
	}
	for _, e := range v.exclude {
		if isUse(e) && slices.Contains(strings.Fields(uses), strings.ToLower(e)) || !isUse(e) && excludes(e, name, v.sep) {
			return fmt.Sprintf("exclude %q", e)
		}
	}
	return ""
}

func isUse(rule string) bool { return strings.HasPrefix(rule, `\`) }

// excludes reports whether pattern, which is in UTF-8 as people write it, matches the name. A name that is not valid is
// compared as it is.
func excludes(pattern, name string, sep byte) bool {
	if utf8, err := wire.DecodeName(name); err == nil {
		name = utf8
	}
	if wire.EqualFold(pattern, wire.Inbox) {
		pattern = wire.Inbox
	}
	return matches(pattern, name, sep)
}

// matches compares as LIST does (RFC 9051, 6.3.9): * stands for anything, % for anything but the separator. It looks at
// each byte of name once for each of pattern at most: nobody can make it slow.
func matches(pattern, name string, sep byte) bool {
	at := make([]bool, len(name)+1) // where in name the pattern so far may end
	at[0] = true
	for i := range len(pattern) {
		wild := pattern[i] == '*' || pattern[i] == '%'
		before := false // whether the pattern so far could end one byte before
		for j := range at {
			now := at[j]
			switch {
			case wild:
				at[j] = now || j > 0 && at[j-1] && (pattern[i] == '*' || name[j-1] != sep)
			default:
				at[j] = before && name[j-1] == pattern[i]
			}
			before = now
		}
	}
	return at[len(name)]
}

// checkExclude says what is wrong with one element of exclude.
func checkExclude(e string) error {
	switch {
	case isUse(e) && !slices.Contains(specialUses, strings.ToLower(e)):
		return fmt.Errorf(`%q is no special use; use one of \All, \Archive, \Drafts, \Flagged, \Important, \Junk, \Sent, \Trash`, e)
	case e == "":
		return fmt.Errorf("an empty name")
	case !isUse(e) && excludes(e, wire.Inbox, 0):
		return fmt.Errorf("%q would leave out INBOX, which every user has", e)
	}
	return nil
}

// leaveOut takes the folders and subscriptions that v leaves out from the account, and keeps account of them (I10).
func (a *account) leaveOut(v *view) {
	if v == nil {
		return
	}
	for n, m := range a.mailboxes {
		if rule := v.rule(n, m.special); rule != "" {
			delete(a.mailboxes, n)
			if m.selectable {
				a.excluded[n] = rule
			}
		}
	}
	for n := range a.subscribed {
		if a.excluded[n] != "" || v.rule(n, "") != "" {
			delete(a.subscribed, n)
		}
	}
}

// exclusion is how many folders a rule leaves out.
type exclusion struct {
	rule    string
	folders int
}

func (a *account) exclusions() (all []exclusion) {
	count := map[string]int{}
	for _, rule := range a.excluded {
		count[rule]++
	}
	for _, rule := range slices.Sorted(maps.Keys(count)) {
		all = append(all, exclusion{rule, count[rule]})
	}
	return all
}

// choose takes note of what is left out at the source, and tells it once for each lease (I10). A folder that is wanted must
// not have a name under which the target has something else.
func (w *worker) choose(src *account) error {
	for _, n := range src.names() {
		if rule := cmp.Or(w.excludedAtTarget[n], w.dstView.rule(n, "")); rule != "" {
			return holdf("folder %s of the source cannot be copied: the target's folder of this name is left out (%s); rename it at the source, or exclude it on both sides", wire.Quoted(n), rule)
		}
	}
	told := w.excluded != nil
	w.surveyed, w.excluded = src, src.excluded
	w.progress.excluded.Store(int64(len(src.excluded)))
	if told {
		return nil
	}
	for _, c := range src.exclusions() {
		w.log.Info("folders left out", "rule", c.rule, "folders", c.folders)
	}
	for n := range w.known() {
		if w.leftOut(n) {
			w.log.Warn("a folder that was copied is left out now; it stays in the target as it is", "folder", n)
		}
	}
	return nil
}

// leftOut reports whether the folder is left out on either side.
func (w *worker) leftOut(folder string) bool {
	return w.excluded[folder] != "" || w.excludedAtTarget[folder] != "" || w.srcView.rule(folder, "") != "" || w.dstView.rule(folder, "") != ""
}
