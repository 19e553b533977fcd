package migrate

import "imapferry/internal/wire"

// excusing names, by kind of difference, the exception classes that explain it. One of ClassFolder explains everything in
// its folder.
var excusing = map[Kind][]string{
	KindFlags: {ClassFlags}, KindDate: {ClassDate}, KindSubscription: {ClassSubscription},
	KindSpecialUse: {ClassSpecialUse}, KindBody: append([]string{ClassBody}, replaced...),
}

// say reports one finding and counts it. What is explained by a recorded exception is a note.
func (v *verification) say(d Difference) {
	for _, class := range append([]string{ClassFolder}, excusing[d.Kind]...) {
		if !d.Note && d.Folder != "" && v.recorded.uids(d.Folder, class).Contains(0) {
			d = excused(d, class)
		}
	}
	if d.Note {
		v.sum.Notes++
	} else {
		v.sum.Differences++
	}
	v.report(d)
}

func excused(d Difference, class string) Difference {
	d.Note = true
	d.Text += "; recorded exception: " + class
	return d
}

// sayUIDs reports a finding that concerns some messages of a folder, in as many lines as keep each readable.
func (v *verification) sayUIDs(d Difference, uids wire.Set) {
	for _, class := range excusing[d.Kind] {
		known := intersect(uids, v.recorded.uids(d.Folder, class))
		v.sayParts(excused(d, class), known)
		uids = minus(uids, known)
	}
	v.sayParts(d, uids)
}

func (v *verification) sayParts(d Difference, uids wire.Set) {
	for _, part := range uids.Split(maxUIDText) {
		d.UIDs, d.Messages = part.String(), part.Len()
		v.say(d)
	}
}

func intersect(a, b wire.Set) wire.Set { return minus(a, minus(a, b)) }

// replacedIn tells of messages in whose place the target has another one, and returns the others: their bodies need not be
// read, and some cannot.
func (v *verification) replacedIn(folder string, uids wire.Set) wire.Set {
	known := intersect(uids, v.recorded.uids(folder, replaced...))
	v.sayUIDs(Difference{Kind: KindBody, Folder: folder, Text: "the target has another message in its place"}, known)
	return minus(uids, known)
}
