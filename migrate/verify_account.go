package migrate

import (
	"fmt"
	"maps"
	"slices"
)

// account compares what is not in a folder: the list of folders as far as the target has more, subscriptions, special
// uses. What the target lacks is found folder by folder.
func (v *verification) account(src, dst *account) error {
	v.extraFolders(src, dst)
	v.subscriptions(src, dst)
	var uses [2]map[string]string
	for i, c := range []*client{v.src, v.dst} {
		var err error
		if uses[i], err = c.specialUses(); err != nil {
			return err
		}
	}
	v.specialUses(src, dst, uses[0], uses[1])
	return nil
}

// extraFolders tells of folders that the target alone has. Servers make some by themselves, which are empty.
func (v *verification) extraFolders(src, dst *account) {
	for _, n := range dst.names() {
		if m := src.mailboxes[n]; m != nil && m.selectable {
			continue
		}
		messages := dst.mailboxes[n].status.messages
		d := Difference{Kind: KindFolder, Folder: n, Messages: uint64(messages)}
		_, copied := v.table[n]
		switch {
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
func (v *verification) specialUses(src, dst *account, inSrc, inDst map[string]string) {
	for _, n := range src.names() {
		if m := dst.mailboxes[n]; m == nil || !m.selectable || inSrc[n] == inDst[n] {
			continue
		}
		v.say(Difference{
			Kind: KindSpecialUse, Note: inSrc[n] == "", Folder: n,
			Source: inSrc[n], Target: inDst[n], Text: both(inSrc[n], inDst[n]),
		})
	}
}

// specialUses asks which folder has which use. Servers add it to a plain LIST as they like, and to an extended one only
// when asked (RFC 6154, section 2).
func (c *client) specialUses() (map[string]string, error) {
	list := []any{"LIST", `""`, `"*"`}
	if c.caps.Has("SPECIAL-USE") && c.caps.Has("LIST-EXTENDED") {
		list = append(list, "RETURN (SPECIAL-USE)")
	}
	a := &account{mailboxes: map[string]*mailbox{}}
	if _, err := c.do(a.take, list...); err != nil {
		return nil, fmt.Errorf("list special uses of %s: %w", c.side, err)
	}
	uses := map[string]string{}
	for n, m := range a.mailboxes {
		if m.special != "" {
			uses[n] = m.special
		}
	}
	return uses, nil
}
