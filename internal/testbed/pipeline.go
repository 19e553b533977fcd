package testbed

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// Pipeline runs a session that sends each batch of commands in one write and waits for all its answers before the next.
// Commands come without tag; literals in them are non-synchronizing. It returns what it has heard, in a form that is
// equal for equal accounts of any user. An answer other than OK is an error.
func Pipeline(ctx context.Context, addr, user, pass string, batches [][]string, opts ...DialOption) (heard []string, err error) {
	c, err := Login(ctx, addr, user, pass, opts...)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	defer c.Close()
	hear := func(r Response) error {
		if line := withoutVarying(r); line != "" {
			heard = append(heard, line)
		}
		return nil
	}
	for i, batch := range append(batches, []string{"LOGOUT"}) {
		if err := c.batch(batch, hear); err != nil {
			return heard, fmt.Errorf("pipeline: batch %d: %w", i, err)
		}
	}
	return heard, nil
}

// batch sends all commands at once. Their answers may come in any order: a server may begin with a command before it has
// done with the one before it.
func (c *Client) batch(commands []string, hear func(Response) error) error {
	open := map[string]string{}
	for _, command := range commands {
		c.tag++
		tag := fmt.Sprintf("t%d", c.tag)
		open[tag] = command
		c.write(tag + " " + command + "\r\n")
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for len(open) > 0 {
		r, err := c.read()
		if err != nil {
			return fmt.Errorf("with %d commands unanswered: %w", len(open), err)
		}
		if err := hear(r); err != nil {
			return err
		}
		if command, ok := open[r.Tag]; ok && r.Status != "OK" {
			return fmt.Errorf("%.60s: %w", command, &RefusedError{r})
		}
		delete(open, r.Tag)
	}
	return nil
}

// varies are the parts of a response that differ from user to user, and from one server to another.
var varies = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\[(UIDVALIDITY|HIGHESTMODSEQ) \d+\]`), "[$1]"},
	{regexp.MustCompile(`\[(APPENDUID|COPYUID) \d+`), "[$1"},
	{regexp.MustCompile(`(UIDVALIDITY|HIGHESTMODSEQ) \d+`), "$1"},
	{regexp.MustCompile(` ?\\Recent`), ""},
	{regexp.MustCompile(`FLAGS \( `), "FLAGS ("},
}

// withoutVarying writes a response in a form without what varies; texts for people and what is recent are left out.
func withoutVarying(r Response) string {
	line := r.Tag
	if r.Status != "" {
		line += " " + r.Status
		if r.Code != "" {
			line += " [" + r.Code + "]"
		}
	}
	for _, v := range r.Values {
		line += " " + v.String()
	}
	if strings.HasSuffix(line, " RECENT") {
		return ""
	}
	for _, v := range varies {
		line = v.pattern.ReplaceAllString(line, v.instead)
	}
	return line
}

// String writes the value as one line, with strings and literals as they are.
func (v Value) String() string {
	if v.List == nil {
		return v.Text
	}
	all := make([]string, len(v.List))
	for i, item := range v.List {
		all[i] = item.String()
	}
	return "(" + strings.Join(all, " ") + ")"
}
