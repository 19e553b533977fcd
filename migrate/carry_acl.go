package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// ownIdentifiers stand for the folder's owner, and for administrators, who have their rights from the server.
var ownIdentifiers = []string{"owner", "-owner", "administrators", "-administrators"}

// carryACL gives others the rights on the target's folders that they have on the source's, and takes from them what they have there
// no more. The owner's own are the target's business, and so are rights that it gives to others besides.
func (w *worker) carryACL(ctx context.Context, names []string) error {
	l := w.lanes[0]
	if !l.src.caps.Has("ACL") || !l.dst.caps.Has("ACL") {
		return nil
	}
	c := carrying{kind: kind{ClassACL, "identifiers", func(c *carried, _ string) *marks { return &c.Rights }, l.dst.setACL, l.dst.deleteACL}}
	var err error
	if c.given, err = l.src.acls(names); err != nil {
		return err
	}
	if c.inherited, err = w.inherited(&c.kind); err != nil {
		return err
	}
	c.all = len(c.inherited) > 0
	for _, list := range c.given {
		maps.DeleteFunc(list, func(id, _ string) bool { return w.isOwner(id) })
		c.all = c.all || len(list) > 0
	}
	for window := range slices.Chunk(names, statusWindow) {
		if c.there, err = l.dst.acls(w.concerned(&c, window)); err != nil {
			return err
		}
		if err := w.carryOver(ctx, &c, window); err != nil {
			return err
		}
	}
	return nil
}

// isOwner reports whether an identifier stands for the user.
func (w *worker) isOwner(id string) bool {
	id = strings.TrimPrefix(id, "-")
	return slices.Contains(ownIdentifiers, id) || wire.EqualFold(id, w.user) || wire.EqualFold(id, w.targetUser) || wire.EqualFold(id, w.e.cfg.Source.UserName(w.user))
}

// acls asks for the rights on folders. Who may not read those of a folder cannot have given any.
func (c *client) acls(names []string) (map[string]attributes, error) {
	all := map[string]attributes{}
	on := func(r response) error {
		if r.word != "ACL" {
			return nil
		}
		list, folder := attributes{}, c.here(r.d.AString())
		for r.d.Accept(' ') {
			id := r.d.AString()
			if r.d.SP() {
				list[id] = r.d.AString()
			}
		}
		all[folder] = list
		return nil
	}
	err := c.askEach(names, func(n string) []any { return []any{"GETACL", name(n)} }, on, func(n string, _ result, err error) error {
		if _, err = refusedWords(err); err != nil {
			return fmt.Errorf("rights on %s in %s: %w", wire.Quoted(n), c.side, err)
		}
		return nil
	})
	return all, err
}

// setACL gives the rights that differ, and returns what the server refuses.
func (c *client) setACL(folder string, want, have attributes) (refused string, err error) {
	var words []string
	for _, id := range slices.Sorted(maps.Keys(want)) {
		rights := c.known(want[id])
		if rights == c.known(have[id]) {
			continue
		}
		_, err := c.do(nil, "SETACL", name(folder), wire.Quoted(id), wire.Quoted(rights))
		text, err := refusedWords(err)
		if err != nil {
			return "", fmt.Errorf("set rights on %s: %w", wire.Quoted(folder), err)
		}
		if text != "" {
			words = append(words, fmt.Sprintf("%s for %s: %s", rights, wire.Quoted(id), text))
		}
	}
	return strings.Join(words, "; "), nil
}

// deleteACL takes all rights from id, and returns why the server refuses.
func (c *client) deleteACL(folder, id string) (refused string, err error) {
	_, err = c.do(nil, "DELETEACL", name(folder), text(id))
	if refused, err = refusedWords(err); err != nil {
		return "", fmt.Errorf("take rights on %s: %w", wire.Quoted(folder), err)
	}
	if refused != "" {
		refused = fmt.Sprintf("none for %s any more: %s", wire.Quoted(id), refused)
	}
	return refused, nil
}

// known returns the rights that the server knows, in order. One that it does not know is about something that it cannot do. The
// rights c and d of old stand for others (RFC 4314, 2.1.1).
func (c *client) known(rights string) string {
	all := "lrswipakxte"
	for _, word := range c.caps {
		if more, ok := strings.CutPrefix(word, "RIGHTS="); ok {
			all += strings.ToLower(more)
		}
	}
	var set []byte
	for _, r := range []byte(strings.NewReplacer("c", "kx", "d", "te").Replace(rights)) {
		if strings.IndexByte(all, r) >= 0 {
			set = append(set, r)
		}
	}
	slices.Sort(set)
	return string(slices.Compact(set))
}
