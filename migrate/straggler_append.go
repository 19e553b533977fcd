package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// append appends messages of the open folder m of the source to the target, having noted that it will, and returns
// those that have to stay behind.
func (p *straggling) append(m *mailbox, t *late, some []straggler) (left wire.Set, err error) {
	to, err := p.destination(m)
	if err != nil {
		return nil, err
	}
	there, err := p.dst.statusOf(to)
	if err != nil {
		return nil, err
	}
	if there == nil {
		return nil, fmt.Errorf("target folder %s is gone just now", wire.Quoted(to))
	}
	var uids, brought wire.Set
	for _, s := range some {
		uids.Add(s.uid)
	}
	t.Trying = &attempt{UIDs: uids, Folder: []byte(to), UIDNext: there.uidNext}
	if err := p.put(m.name, t); err != nil {
		return nil, err
	}
	for _, s := range some {
		taken, reason, err := p.send(m, s.uid, to)
		if err == nil && reason != nil {
			left.Add(s.uid)
			err = p.leave(m, s, reason)
		}
		if err != nil {
			return nil, err
		}
		if taken {
			brought.Add(s.uid)
			p.target.mailboxes[to].status.messages++
		}
	}
	t.Trying, t.Brought = nil, t.Brought+int64(brought.Len())
	if len(brought) > 0 {
		p.w.log.Info("stragglers brought over", "folder", m.name, "uids", short(brought), "to", to)
	}
	return left, nil
}

// leave records why a straggler has to stay behind.
func (p *straggling) leave(m *mailbox, s straggler, reason error) error {
	return p.w.except(p.ctx, state.Exception{Folder: m.name, UID: s.uid, Class: ClassStraggler, MessageID: s.id, Text: reason.Error()})
}

// destination returns the target's folder for the mail of m. A folder that the user has removed since is not made again.
func (p *straggling) destination(m *mailbox) (string, error) {
	if there := p.target.mailboxes[m.name]; there != nil && there.selectable {
		return m.name, nil
	}
	reason := errors.New("it was removed there")
	if f, copied := p.w.known()[m.name]; !copied || isShell(f) {
		reason = p.dst.create(m.name, m.special)
		if reason == nil {
			p.target.mailboxes[m.name] = &mailbox{name: m.name, selectable: true}
			return m.name, nil
		}
		if _, held := permanent(reason); !held && !refusedForGood(reason) {
			return "", reason
		}
	}
	p.w.log.Info("the target does not have the folder of stragglers; they go to INBOX", "folder", m.name, "reason", reason)
	return wire.Inbox, nil
}

// send brings over one message, which may be gone from the source. reason says why it has to stay behind.
func (p *straggling) send(m *mailbox, uid uint32, to string) (taken bool, reason, err error) {
	bad, err := p.twice(m, func() error {
		err := p.src.stream(uid, uid, func(s *message, size int64, body io.Reader) (err error) {
			reason, err = p.appendOne(s, size, body, to)
			taken = reason == nil && err == nil
			return err
		})
		if _, about := aboutMessage(err); about && (taken || reason != nil) {
			return p.resume(m) // what came behind the body, which was whole; the target must not get it again
		}
		if err == nil && !taken && reason == nil {
			err = notLeftOut[bool](p.src, wire.Set{{From: uid, To: uid}}, nil)
		}
		return err
	})
	return taken, cmp.Or(reason, bad), err
}

// appendOne gives the target one message, by a literal that it may refuse before it is sent.
func (p *straggling) appendOne(m *message, size int64, body io.Reader, to string) (reason, err error) {
	tag, err := p.dst.startAppend(to)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(p.dst.w, " (%s) %s {%d}\r\n", m.flags, wire.Quoted(m.raw), size)
	if err := p.dst.awaitContinue(); err != nil {
		if _, cut := io.Copy(io.Discard, body); cut != nil {
			return nil, unread{m.uid, errors.Join(err, cut)}
		}
		return staysBehind(err)
	}
	n, err := io.Copy(p.dst.w, body)
	if err != nil && p.dst.w.Flush() == nil { // the source's fault, not the target's
		return nil, unread{m.uid, fmt.Errorf("copy body of uid %d: %w", m.uid, err)}
	}
	if err != nil || n != size {
		return nil, errors.Join(fmt.Errorf("copy body of uid %d: %d bytes instead of %d", m.uid, n, size), err)
	}
	p.dst.w.WriteString("\r\n")
	_, err = p.dst.finish(tag, nil)
	return staysBehind(err)
}

// staysBehind tells a refusal of one message from what concerns all or goes by, which ends the pass.
func staysBehind(err error) (reason, end error) {
	var r *backend.Refused
	if !errors.As(err, &r) || !refusedForGood(err) {
		return nil, err
	}
	switch codeWord(r) {
	case "OVERQUOTA", "LIMIT":
		return nil, err
	}
	return err, nil
}
