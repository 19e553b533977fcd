package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// specialUses are the attributes of RFC 6154, and \Important of RFC 8457.
var specialUses = []string{`\all`, `\archive`, `\drafts`, `\flagged`, `\important`, `\junk`, `\sent`, `\trash`}

// lacks returns the uses that are among is and not among has.
func lacks(is, has string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(is), func(u string) bool { return slices.Contains(strings.Fields(has), u) }), " ")
}

// capitalised spells uses as the RFC does, for servers that compare them byte by byte.
func capitalised(uses string) string {
	words := strings.Fields(uses)
	for i, u := range words {
		words[i] = u[:1] + strings.ToUpper(u[1:2]) + u[2:]
	}
	return strings.Join(words, " ")
}

// carrySpecialUses gives target folders the uses that they have at the source: clients find Sent, Drafts and the like by them
// (I2). Dovecot takes them from its configuration alone. One use more does no harm.
func (w *worker) carrySpecialUses(ctx context.Context, src *account, names []string) error {
	dst := w.lanes[0].dst
	there, err := dst.uses()
	if err != nil {
		return err
	}
	set := false
	for _, n := range names {
		uses := src.mailboxes[n].special
		if lacks(uses, there.use(n)) == "" || !dst.caps.Has("METADATA") {
			continue
		}
		_, err := dst.do(nil, "SETMETADATA", name(n), `(/private/specialuse `+wire.Quoted(capitalised(uses))+`)`)
		if err != nil && !refusedForGood(err) {
			return fmt.Errorf("set special use of %s: %w", wire.Quoted(n), err)
		}
		set = set || err == nil
	}
	if set {
		if there, err = dst.uses(); err != nil {
			return err
		}
	}
	for _, n := range names {
		text := ""
		if uses := src.mailboxes[n].special; lacks(uses, there.use(n)) != "" {
			text = both(uses, there.use(n)) + "; give the target's folder this special use in the server's configuration"
		}
		if err := w.differs(ctx, n, ClassSpecialUse, text); err != nil {
			return err
		}
	}
	return nil
}

// uses lists folders for their special uses.
func (c *client) uses() (*account, error) {
	a := c.newAccount()
	list := []any{"LIST", `""`, `"*"`}
	if c.caps.Has("SPECIAL-USE") && c.caps.Has("LIST-EXTENDED") {
		list = append(list, "RETURN (SPECIAL-USE)")
	}
	if _, err := c.do(a.take, list...); err != nil {
		return nil, fmt.Errorf("list special uses of %s: %w", c.side, err)
	}
	return a, nil
}

func (a *account) use(folder string) string {
	if m := a.mailboxes[folder]; m != nil {
		return m.special
	}
	return ""
}

// differs records that an attribute of a folder could not be carried over, or, without a text, that it could.
func (w *worker) differs(ctx context.Context, folder, class, text string) error {
	if text == "" {
		return w.mended(ctx, folder, class, itself)
	}
	return w.exceptFolder(ctx, ofFolder{folder, class}, text)
}
