package testbed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

var errUserName = errors.New("name cannot stand in a passwd file")

// SetUser adds a user or changes a password, and returns when the server takes
// it. Sessions that are open go on.
func (d *Dovecot) SetUser(ctx context.Context, user, password string) error {
	users := maps.Clone(d.Options.Users)
	users[user] = password
	err := d.changeUsers(ctx, users, func() (bool, error) { return d.accepts(ctx, user, password) })
	if err != nil {
		return fmt.Errorf("set user %s: %w", user, err)
	}
	return nil
}

// RemoveUser takes a user away, and returns when the server refuses the
// password. The mail stays.
func (d *Dovecot) RemoveUser(ctx context.Context, user string) error {
	users := maps.Clone(d.Options.Users)
	password := users[user]
	delete(users, user)
	err := d.changeUsers(ctx, users, func() (bool, error) {
		in, err := d.accepts(ctx, user, password)
		return !in, err
	})
	if err != nil {
		return fmt.Errorf("remove user %s: %w", user, err)
	}
	return nil
}

// changeUsers dates the file into the future: Dovecot knows a change by size
// and by the time in whole seconds, and looks once in a second.
func (d *Dovecot) changeUsers(ctx context.Context, users map[string]string, done func() (bool, error)) error {
	before, err := os.Stat(d.users)
	if err != nil {
		return err
	}
	if err := d.writeUsers(users); err != nil {
		return err
	}
	later := before.ModTime().Add(2 * time.Second)
	if err := os.Chtimes(d.users, later, later); err != nil {
		return err
	}
	d.Options.Users = users
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// accepts asks the server's own auth process, which logs no session.
func (d *Dovecot) accepts(ctx context.Context, user, password string) (bool, error) {
	_, err := d.Doveadm(ctx, "auth", "test", user, password)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, ctx.Err()
	}
	return err == nil, err
}

// writeUsers replaces the file at once, so that no login meets half of it.
func (d *Dovecot) writeUsers(users map[string]string) error {
	var lines strings.Builder
	for _, u := range slices.Sorted(maps.Keys(users)) {
		if strings.ContainsAny(u, ":/\r\n") || u == "" {
			return fmt.Errorf("%w: %q", errUserName, u)
		}
		fmt.Fprintf(&lines, "%s:%s:%d:%d::%s/%s::\n", u, plain(users[u]), d.mailUID, d.mailGID, d.MailDir, u)
	}
	if err := os.WriteFile(d.users+".new", []byte(lines.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(d.users+".new", d.users)
}

// plain encodes a password, which may hold the file's separator.
func plain(password string) string {
	return "{PLAIN.B64}" + base64.StdEncoding.EncodeToString([]byte(password))
}
