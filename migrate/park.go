package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// Mail that somebody else has put into the target before the switch takes UIDs that the source's messages need. Where the
// operator allows it (state.Record.Park), it is moved aside, into a folder of its own beside each folder; then the
// folder is copied anew. After the switch it is moved back, behind the source's messages.

// parkPrefix begins the names of folders with mail that was moved aside, behind the prefix of personal folders.
const parkPrefix = "imapferry-parked-"

// parkedName returns where mail of folder is moved aside.
func parkedName(prefix, folder string) string {
	return prefix + parkPrefix + strings.TrimPrefix(folder, prefix)
}

// unparkedName is the inverse of parkedName, for names that it can have made.
func unparkedName(prefix, parked string) (folder string, ok bool) {
	rest, ok := strings.CutPrefix(parked, prefix+parkPrefix)
	if !ok || rest == "" {
		return "", false
	}
	if rest == wire.Inbox {
		return rest, true
	}
	return prefix + rest, true
}

// aside is parkedName among the target's own names: it may have folders whose names stand for none of the source.
func (v *view) aside(folder string) string {
	return v.here(parkedName(v.names.dst.prefix, v.there(folder)))
}

// home is the inverse of aside.
func (v *view) home(parked string) (folder string, ok bool) {
	there, ok := unparkedName(v.names.dst.prefix, v.there(parked))
	return v.here(there), ok
}

// isParked reports whether a target folder holds mail that was moved aside.
func (v *view) isParked(folder string) bool {
	_, ok := v.home(folder)
	return ok
}

// parked lets park put right what err tells of, if that is something alien and the operator has allowed it.
func (w *worker) parked(err error, park func() error) error {
	if !w.rec.Park || !errors.As(err, new(alien)) {
		return err
	}
	w.log.Warn("moving aside what is not ours in the target", "found", err)
	return park()
}

// parkAll moves all mail of a target folder aside.
func (l *lane) parkAll(folder string) error {
	s, err := l.dst.openFolder(folder, true)
	if err != nil || s.messages == 0 {
		return errors.Join(err, l.dst.closeFolder())
	}
	list, err := l.dst.list(1, "FLAGS")
	if err != nil {
		return err
	}
	return l.parkUIDs(folder, uidsFrom(list, 1))
}

// parkKnown moves aside what is not ours in a target folder that was copied, m, or nil if it is gone, and sees to it
// that the folder is compared, and copied anew if need be.
func (l *lane) parkKnown(ctx context.Context, f state.Folder, m *mailbox) error {
	if m == nil || !m.selectable {
		return l.w.deleteFolder(ctx, f.Name)
	}
	n, err := readNote(f)
	if err != nil {
		return err
	}
	if !n.names(f, m.status) {
		if err := l.parkAll(f.Name); err != nil {
			return err
		}
		return l.w.deleteFolder(ctx, f.Name)
	}
	if _, err := l.dst.openFolder(f.Name, true); err != nil {
		return err
	}
	list, err := l.dst.list(n.Done, "INTERNALDATE RFC822.SIZE")
	if err != nil {
		return err
	}
	uids, _, err := l.unexplained(f.Name, n, list)
	if err != nil {
		return err
	}
	if err := l.parkUIDs(f.Name, uids); err != nil {
		return err
	}
	n.Dirty = true
	return l.w.putNote(ctx, f.Name, n)
}

// parkUIDs moves messages of the open target folder aside. MOVE (RFC 6851) leaves no message in both places or in none,
// wherever it is cut off.
func (l *lane) parkUIDs(folder string, uids wire.Set) error {
	if len(uids) > 0 {
		aside := l.w.dstView.aside(folder)
		if err := l.dst.create(aside, ""); err != nil {
			return err
		}
		if err := l.dst.moveAll(folder, uids, aside); err != nil {
			return err
		}
		l.w.log.Info("mail of unknown origin moved aside", "folder", folder, "messages", uids.Len(), "to", aside)
	}
	return l.dst.closeFolder()
}

// moveAll moves uids of the open folder to another one.
func (c *client) moveAll(folder string, uids wire.Set, to string) error {
	if !c.caps.Has("MOVE") {
		return holdf("mail in %s folder %s cannot be moved aside safely: the server does not offer MOVE (RFC 6851); move it yourself, then retry", c.side, wire.Quoted(folder))
	}
	for _, part := range uids.Split(maxSetText) {
		_, err := c.do(nil, "UID MOVE", part.String(), name(to))
		var refused *backend.Refused
		if errors.As(err, &refused) && refused.Status == "NO" && refusedForGood(err) {
			return holdf("move uid %s of %s to %s: %v; move them yourself, then retry", short(part), wire.Quoted(folder), wire.Quoted(to), err)
		}
		if err != nil {
			return fmt.Errorf("move uid %s of %s to %s: %w", short(part), wire.Quoted(folder), wire.Quoted(to), err)
		}
	}
	return nil
}

// unpark moves mail that was moved aside back into its folders, after the switch.
func (p *straggling) unpark() error {
	if !p.w.rec.Park {
		return nil
	}
	there, err := p.targetFolders()
	if err != nil {
		return err
	}
	for _, n := range there.names() {
		folder, ok := p.w.dstView.home(n)
		if !ok {
			continue
		}
		if m := there.mailboxes[folder]; m == nil || !m.selectable {
			folder = wire.Inbox // the user has removed it since
		}
		if err := p.unparkFolder(n, folder); err != nil {
			return err
		}
	}
	return nil
}

func (p *straggling) unparkFolder(aside, folder string) error {
	if _, err := p.dst.openFolder(aside, true); err != nil {
		return err
	}
	list, err := p.dst.list(1, "FLAGS")
	if err != nil {
		return err
	}
	if err := p.dst.moveAll(aside, uidsFrom(list, 1), folder); err != nil {
		return err
	}
	if err := p.dst.closeFolder(); err != nil {
		return err
	}
	if _, err := p.dst.do(nil, "DELETE", name(aside)); err != nil {
		return fmt.Errorf("delete %s in target: %w", wire.Quoted(aside), err)
	}
	p.w.log.Info("mail that was moved aside is back", "folder", folder, "messages", len(list))
	return nil
}
