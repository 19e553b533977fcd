package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	errNoMaildir   = errors.New("mail is not kept in a Maildir")
	errEncodedName = errors.New("doveadm takes names in UTF-8, this one is in modified UTF-7")
	errUIDFile     = errors.New("unexpected content of the UID list")
)

// SetNextUID lets the next message of a folder get that UID, which must be
// above those that are there. A Maildir that has never been opened has no
// UIDVALIDITY yet, and would get another one at each of its next openings: so it
// is opened first.
func (d *Dovecot) SetNextUID(ctx context.Context, user, folder string, uid uint32) error {
	if strings.Contains(folder, "&") {
		return fmt.Errorf("set next uid in %q: %w", folder, errEncodedName)
	}
	if _, err := d.Doveadm(ctx, "mailbox", "status", "-u", user, "uidvalidity", folder); err != nil {
		return err
	}
	_, err := d.Doveadm(ctx, "mailbox", "update", "-u", user, "--min-next-uid", strconv.FormatUint(uint64(uid), 10), folder)
	return err
}

// PutFile stores a message as it is, if the format is maildir.
func (d *Dovecot) PutFile(user, folder string, m Mail) error {
	if d.Options.Format != "maildir" {
		return errNoMaildir
	}
	path := namespace{d.Options.Prefix, d.Options.Separator}.maildir(folder)
	return putFile(filepath.Join(d.MailDir, user, "maildir", path), m, d.mailUID, d.mailGID)
}

// PutFile stores a message as it is.
func (c *Courier) PutFile(user, folder string, m Mail) error {
	uid, gid, err := systemUser("mail", "mail")
	if err != nil {
		return fmt.Errorf("put file: %w", err)
	}
	return putFile(c.folder(user, folder), m, uid, gid)
}

// SetNextUID lets the next message of a folder get that UID. Courier keeps it in
// the first line of a file, with the version and UIDVALIDITY.
func (c *Courier) SetNextUID(_ context.Context, user, folder string, uid uint32) error {
	path := filepath.Join(c.folder(user, folder), "courierimapuiddb")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("set next uid: %w", err)
	}
	head, rest, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return fmt.Errorf("set next uid: %w: %q", errUIDFile, head)
	}
	head = fmt.Sprintf("%s %s %d\n", fields[0], fields[1], uid)
	if err := os.WriteFile(path, []byte(head+rest), 0o644); err != nil {
		return fmt.Errorf("set next uid: %w", err)
	}
	return nil
}

func (c *Courier) folder(user, folder string) string {
	return filepath.Join(c.MailDir, user, "Maildir", namespace{"INBOX.", "."}.maildir(folder))
}

// maildir returns the folder's place in a Maildir++: one directory for all
// levels, with a dot before each.
func (ns namespace) maildir(folder string) string {
	if folder == "INBOX" {
		return ""
	}
	return "." + strings.ReplaceAll(strings.TrimPrefix(folder, ns.prefix), ns.delimiter, ".")
}

var putFiles atomic.Int64

// putFile gives the file the date as the time of its last change, which is
// where Maildirs keep INTERNALDATE, and of the flags those that a name can hold.
func putFile(dir string, m Mail, uid, gid int) error {
	at := time.Now()
	if m.Date != "" {
		var err error
		if at, err = time.Parse(dateLayout, m.Date); err != nil {
			return fmt.Errorf("put file: %w", err)
		}
	}
	info := ""
	for _, f := range []struct{ flag, letter string }{{`\Draft`, "D"}, {`\Flagged`, "F"}, {`\Answered`, "R"}, {`\Seen`, "S"}, {`\Deleted`, "T"}} {
		if strings.Contains(m.Flags, f.flag) {
			info += f.letter
		}
	}
	// Ordered by name, and so numbered in the order they were put.
	base := fmt.Sprintf("%d.M%06dP%d.put", time.Now().Unix(), putFiles.Add(1), os.Getpid())
	path := filepath.Join(dir, "tmp", base)
	if err := os.WriteFile(path, []byte(m.Body), 0o600); err != nil {
		return fmt.Errorf("put file: %w", err)
	}
	if err := errors.Join(os.Chown(path, uid, gid), os.Chtimes(path, at, at)); err != nil {
		return fmt.Errorf("put file: %w", err)
	}
	return os.Rename(path, filepath.Join(dir, "cur", base+":2,"+info))
}
