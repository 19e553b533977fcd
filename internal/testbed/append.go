package testbed

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Append delivers one message into a folder and returns its UID, or 0 where
// the server has no UIDPLUS.
func Append(ctx context.Context, addr, user, pass, folder string, m Mail, opts ...DialOption) (uint32, error) {
	c, err := Login(ctx, addr, user, pass, opts...)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	defer c.Close()
	uid, err := c.Append(folder, m)
	if err != nil {
		return 0, fmt.Errorf("append to %q: %w", folder, err)
	}
	return uid, c.Logout()
}

// Append appends one message and returns its UID, or 0 where the server has no
// UIDPLUS.
func (c *Client) Append(folder string, m Mail) (uint32, error) {
	replies, err := c.Do(append([]any{"APPEND ", Quote(folder)}, m.parts()...)...)
	if err != nil {
		return 0, err
	}
	code := strings.Fields(replies[len(replies)-1].Code)
	if len(code) != 3 || code[0] != "APPENDUID" {
		return 0, nil
	}
	uid, err := strconv.ParseUint(code[2], 10, 32)
	return uint32(uid), err
}

func (m Mail) parts() []any {
	head := " (" + m.Flags + ") "
	if m.Date != "" {
		head += `"` + m.Date + `" `
	}
	return []any{head, Literal(m.Body)}
}

// A batch goes out as one MULTIAPPEND: a server stores it as one transaction,
// which is worth a factor of seven in Dovecot.
const (
	batchMails = 200
	batchBytes = 4 << 20
)

// appendAll appends all messages in order. With MULTIAPPEND and LITERAL+ one
// batch is under way while the next is written, so no round trip is waited for.
func (c *Client) appendAll(folder string, mails []Mail) error {
	if !c.Has("MULTIAPPEND") || !c.Has("LITERAL+") {
		for i, m := range mails {
			if _, err := c.Append(folder, m); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		return nil
	}
	under := ""
	for len(mails) > 0 {
		n := batchLen(mails)
		parts := []any{"APPEND ", Quote(folder)}
		for _, m := range mails[:n] {
			parts = append(parts, m.parts()...)
		}
		tag, err := c.send(ignore, parts...)
		if err != nil {
			return err
		}
		if err := c.settle(under); err != nil {
			return err
		}
		under, mails = tag, mails[n:]
	}
	return c.settle(under)
}

func (c *Client) settle(tag string) error {
	if tag == "" {
		return nil
	}
	return c.finish(tag, ignore)
}

func ignore(Response) error { return nil }

func batchLen(mails []Mail) int {
	size := 0
	for i, m := range mails {
		size += len(m.Body)
		if i > 0 && (i == batchMails || size > batchBytes) {
			return i
		}
	}
	return len(mails)
}
