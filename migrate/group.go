package migrate

import (
	"context"
	"fmt"

	"imapferry/internal/wire"
	"imapferry/state"
)

// A lane brings over folders in groups. What each folder would have to wait for by itself, the store's disk, doveadm and
// round trips, the folders of a group wait for together; most folders of large accounts are small.
const (
	groupFolders  = statusWindow
	groupMessages = batchMessages // a large folder is a group by itself
)

// groups parts todo, in order, so that there is work for so many lanes.
func groups(todo []*mailbox, lanes int) (out [][]*mailbox) {
	most := min(groupFolders, (len(todo)+lanes-1)/lanes)
	var g []*mailbox
	var messages uint64
	for _, m := range todo {
		g = append(g, m)
		if messages += uint64(m.status.messages); len(g) == most || messages >= groupMessages {
			out = append(out, g)
			g, messages = nil, 0
		}
	}
	if len(g) > 0 {
		out = append(out, g)
	}
	return out
}

// createTogether makes those folders of a group that are new to the target. What goes wrong with one of them is left to create,
// which tells with which.
func (l *lane) createTogether(ctx context.Context, group []*mailbox) error {
	var fresh []*mailbox
	for _, m := range group {
		f, _, err := l.w.folder(m.name)
		if err != nil {
			return err
		}
		if f.UIDValidity == 0 && m.name != wire.Inbox && !l.w.begun(m.name) {
			fresh = append(fresh, m)
		}
	}
	if err := l.announce(ctx, fresh...); err != nil {
		return err
	}
	made, err := l.dst.createAll(fresh)
	if err != nil || len(made) == 0 {
		return err
	}
	if l.w.adapter.prepare(ctx, l.dst, l.w.targetUser, made) != nil {
		return nil
	}
	there, err := l.dst.statuses(made)
	if err != nil {
		return err
	}
	var records []state.Folder
	for _, m := range made {
		if s := there[m.name]; s != nil && s.unused() {
			records = append(records, newRecord(m, s))
		}
	}
	return l.w.putFolders(ctx, records...)
}

// createAll sends CREATE for all folders before it reads the first reply, and returns those that were made.
func (c *client) createAll(folders []*mailbox) (made []*mailbox, err error) {
	tags := make([]string, len(folders))
	for i, m := range folders {
		if tags[i], err = c.start(c.createCommand(m.name, m.special)...); err != nil && !declined(err) {
			return nil, err
		}
	}
	for i, tag := range tags {
		if tag == "" {
			continue // declined before its literal
		}
		_, err := c.finish(tag, nil)
		if declined(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("create %s in %s: %w", wire.Quoted(folders[i].name), c.side, err)
		}
		made = append(made, folders[i])
	}
	return made, nil
}

// statuses asks for the status of all folders before it reads the first reply. Those that do not exist are left out.
func (c *client) statuses(folders []*mailbox) (map[string]*status, error) {
	a := c.newAccount()
	for _, m := range folders {
		a.mailboxes[m.name] = &mailbox{name: m.name, selectable: true}
	}
	if err := c.statusAll(a, c.statusItems()); err != nil {
		return nil, err
	}
	found := map[string]*status{}
	for _, m := range folders {
		s := &a.mailboxes[m.name].status
		if s.uidValidity == 0 {
			var err error
			if s, err = c.statusOf(m.name); err != nil {
				return nil, err
			}
		}
		if s != nil {
			found[m.name] = s
		}
	}
	return found, nil
}

// touchAll opens all folders and closes the last one.
func (c *client) touchAll(folders []*mailbox) error {
	tags := make([]string, len(folders))
	c.selected, c.readOnly = "", true
	for i, m := range folders {
		var err error
		if tags[i], err = c.start("EXAMINE", name(m.name)); err != nil {
			return err
		}
	}
	for i, tag := range tags {
		if _, err := c.finish(tag, nil); err != nil {
			return fmt.Errorf("open %s in %s: %w", wire.Quoted(folders[i].name), c.side, err)
		}
		c.selected = folders[i].name
	}
	return c.closeFolder()
}
