package migrate

import (
	"fmt"
	"maps"
	"slices"
)

// account compares what is not in a folder: the list of folders as far as the target has more, subscriptions, special
// uses. What the target lacks is found folder by folder.
func (v *verification) account(src, dst *account) {
	v.leftOut("source", src)
	v.leftOut("target", dst)
	v.unopenedFolders("source", src)
	v.unopenedFolders("target", dst)
	v.extraFolders(src, dst)
	v.subscriptions(src, dst)
	v.specialUses(src, dst)
}

// leftOut tells how many folders each rule leaves out of the move and of this comparison (I10).
func (v *verification) leftOut(side string, a *account) {
	for _, c := range a.exclusions() {
		v.say(Difference{Kind: KindExcluded, Note: true, Text: fmt.Sprintf("%s leaves out %d folders of the %s", c.rule, c.folders, side)})
	}
}

// unopenedFolders tells of folders that a server lists and does not open.
func (v *verification) unopenedFolders(side string, a *account) {
	var names []string
	for n, m := range a.mailboxes {
		if m.unopened != "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		v.say(Difference{Kind: KindFolder, Folder: n, Text: "cannot be opened in the " + side + ": " + a.mailboxes[n].unopened})
	}
}

// extraFolders tells of folders that the target alone has. Servers make some by themselves, which are empty.
func (v *verification) extraFolders(src, dst *account) {
	for _, n := range dst.names() {
		if m := src.mailboxes[n]; m != nil && m.selectable || src.excluded[n] != "" {
			continue
		}
		messages := dst.mailboxes[n].status.messages
		d := Difference{Kind: KindFolder, Folder: n, Messages: uint64(messages)}
		_, copied := v.table[n]
		switch {
		case v.dst.view.isParked(n):
			d.Note, d.Text = true, fmt.Sprintf("mail of unknown origin that was moved aside (%d messages)", messages)
		case v.onTarget && copied:
			d.Note, d.Text = true, fmt.Sprintf("gone from the source since the switch; %d messages in the target", messages)
		case v.onTarget:
			d.Note, d.Text = true, fmt.Sprintf("made in the target since the switch, or by the target itself (%d messages)", messages)
		case messages == 0:
			d.Note, d.Text = true, "not in the source; empty in the target, as folders are that servers make themselves"
		default:
			d.Text = fmt.Sprintf("not in the source; %d messages in the target", messages)
		}
		v.say(d)
	}
}

func (v *verification) subscriptions(src, dst *account) {
	v.subscribedOnly(src, dst, "subscribed in the source only")
	v.subscribedOnly(dst, src, "subscribed in the target only")
}

// subscribedOnly tells what a has and b has not. After the switch nobody can tell who changed it.
func (v *verification) subscribedOnly(a, b *account, text string) {
	if v.onTarget {
		text += "; the user may have changed it since the switch"
	}
	for _, n := range slices.Sorted(maps.Keys(a.subscribed)) {
		if !b.subscribed[n] {
			v.say(Difference{Kind: KindSubscription, Note: v.onTarget, Folder: n, Text: text})
		}
	}
}

// specialUses demands that the target's folders have the use that they have in the source. One more does no harm:
// clients find their folders as before.
func (v *verification) specialUses(src, dst *account) {
	for _, n := range src.names() {
		m := dst.mailboxes[n]
		if m == nil || !m.selectable {
			continue
		}
		if is, has := src.mailboxes[n].special, m.special; is != has {
			v.say(Difference{Kind: KindSpecialUse, Note: lacks(is, has) == "", Folder: n, Source: is, Target: has, Text: both(is, has)})
		}
	}
}
