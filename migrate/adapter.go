package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// adapter is what a kind of target can do beside IMAP, to give messages the UIDs and folders the UIDVALIDITY of the
// source. user is the name at the target. Folder names are the engine's; dst knows the target's.
type adapter interface {
	name() string
	fidelity() state.Fidelity
	// prepare is called for empty folders before their first message. They have the status of the source's.
	prepare(ctx context.Context, dst *client, user string, folders []*mailbox) error
	// skip makes to the UIDNEXT of folder, which is from, over a gap longer than copyGap. dst may have any folder
	// open, and has another or none open afterwards. It is not called for folders that were given the source's
	// UIDVALIDITY already.
	skip(ctx context.Context, dst *client, user, folder string, from, to uint32) error
	// setUIDValidity gives folders, which nobody has open, the UIDVALIDITY of the source's, where the kind of target can.
	setUIDValidity(ctx context.Context, dst *client, user string, folders []*mailbox) error
	// clearInbox makes INBOX a new, empty folder whose UIDNEXT is 1. All that is in it is ours.
	clearInbox(ctx context.Context, dst *client, user string) error
}

// imapAdapter serves any target that has UIDPLUS. UIDs are equal; UIDVALIDITY is left to the relay.
type imapAdapter struct{}

func (imapAdapter) name() string             { return "imap" }
func (imapAdapter) fidelity() state.Fidelity { return state.Translated }

func (imapAdapter) prepare(context.Context, *client, string, []*mailbox) error        { return nil }
func (imapAdapter) setUIDValidity(context.Context, *client, string, []*mailbox) error { return nil }

// Gaps up to copyGap are made by copying with every kind of target: the placeholders leave records of their expunge,
// which clients that resynchronise by QRESYNC need. A gap up to maxCopyGap costs a target that has no other way a few
// seconds, and some disk for as long.
const (
	copyGap    = 100_000
	maxCopyGap = 1 << 20
	copyBlock  = 1 << 14 // placeholders that exist at once at most, times two
)

// skip goes on copying, since plain IMAP has no other way.
func (imapAdapter) skip(_ context.Context, dst *client, _, folder string, from, to uint32) error {
	if to-from > maxCopyGap {
		return holdf("%s: %d unused uids before uid %d are too many to fill over IMAP alone; give the target an adapter that can set UIDNEXT (target.doveadm_url), then retry", wire.Quoted(folder), to-from, to)
	}
	return dst.copyPlaceholders(folder, from, to)
}

// copyPlaceholders appends one placeholder and copies it within the folder, doubling, until to comes next; all of
// them are expunged. One COPY takes UIDs as fast as the target can write them.
func (dst *client) copyPlaceholders(folder string, from, to uint32) error {
	a := appender{dst: dst, folder: folder, next: from, count: func(int64, int64) {}}
	if err := a.placeholder(); err != nil {
		return err
	}
	if _, err := dst.openFolder(folder, true); err != nil {
		return err
	}
	made := wire.Set{{From: from, To: from}}
	for next := from + 1; next < to; {
		block := made[0]
		if n := to - next; block.Len() > uint64(n) {
			block.To = block.From + n - 1
		}
		res, err := dst.do(nil, "UID COPY", block.String(), name(folder))
		var refused *backend.Refused
		if errors.As(err, &refused) && codeWord(refused) == "LIMIT" && next > from+1 { // mdbox has two bytes to count copies of a message
			if err := dst.expunge(folder, made); err != nil {
				return err
			}
			return dst.copyPlaceholders(folder, next, to)
		}
		if err != nil {
			return fmt.Errorf("copy placeholders in %s: %w", wire.Quoted(folder), err)
		}
		want := wire.Range{From: next, To: next + uint32(block.Len()) - 1}
		if err := checkCopied(folder, res.code, want); err != nil {
			return err
		}
		next = want.To + 1
		if made[0].Len() < copyBlock {
			made[0].To = want.To
		} else if err := dst.expunge(folder, wire.Set{want}); err != nil {
			return err
		}
	}
	return dst.expunge(folder, made)
}

// checkCopied compares the destination of COPYUID (RFC 4315) with the UIDs that were due.
func checkCopied(folder, code string, want wire.Range) error {
	var uidValidity uint32
	var from, to string
	if _, err := fmt.Sscanf(code, "COPYUID %d %s %s", &uidValidity, &from, &to); err != nil {
		return holdf("target says no COPYUID for %s; a UID-exact copy needs UIDPLUS (RFC 4315); enable it there, then retry", wire.Quoted(folder))
	}
	if to != want.String() {
		return shifted{folder, want.String(), to}
	}
	return nil
}

// discardedInbox is the name that an INBOX of the engine's own has from when it is moved away to when it is deleted.
const discardedInbox = "imapferry-discarded-inbox"

// clearInbox moves INBOX away, which leaves a new one (RFC 9051, 6.3.6), and deletes what was moved.
func (imapAdapter) clearInbox(_ context.Context, dst *client, _ string) error {
	aside := dst.own(discardedInbox)
	if _, err := dst.do(nil, "RENAME", name(wire.Inbox), name(aside)); err != nil {
		return fmt.Errorf("move INBOX aside: %w", err)
	}
	if _, err := dst.do(nil, "DELETE", name(aside)); err != nil {
		return fmt.Errorf("delete the INBOX that was moved aside: %w", err)
	}
	return nil
}
