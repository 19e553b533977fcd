package testbed

import (
	"slices"
	"strings"
)

// StatusAll asks for the status of all folders as quickly as the server lets a client: with the list itself (RFC 5819), or
// many at a time.
func (c *Client) StatusAll() error {
	if c.Has("LIST-STATUS") {
		_, err := c.Do(`LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))`)
		return err
	}
	var names []string
	err := c.each(func(r Response) error {
		if len(r.Values) == 4 && r.Values[0].Text == "LIST" && !slices.ContainsFunc(r.Values[1].List, func(v Value) bool { return strings.EqualFold(v.Text, `\Noselect`) }) {
			names = append(names, r.Values[3].Text)
		}
		return nil
	}, `LIST "" "*"`)
	if err != nil {
		return err
	}
	drop := func(Response) error { return nil }
	for window := range slices.Chunk(names, 64) {
		tags := make([]string, len(window))
		for i, n := range window {
			if tags[i], err = c.send(drop, "STATUS ", Quote(n), " (MESSAGES UIDNEXT UIDVALIDITY)"); err != nil {
				return err
			}
		}
		for _, tag := range tags {
			if err := c.finish(tag, drop); err != nil {
				return err
			}
		}
	}
	return nil
}
