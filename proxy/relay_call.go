package proxy

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// callLimits bound what is kept of one response. A listing comes message by message.
var callLimits = wire.Limits{Line: maxGather, Literal: maxGather, Total: 2 * maxGather}

// caller speaks to a server on behalf of a session that has no pumps. Every error but a refusal leaves the connection
// of no use; its deadline is the caller's owner's.
type caller struct {
	conn net.Conn
	d    *wire.Decoder
	sent int
}

// untagged is called with the decoder behind the first word of an untagged response, in upper case, and the number before it.
type untagged func(d *wire.Decoder, number uint32, word string) error

// refusedCall is a NO or BAD.
type refusedCall struct{ command, answer string }

func (e *refusedCall) Error() string { return e.command + ": " + e.answer }

func callTag(n int) string { return "imapferry" + strconv.Itoa(n) }

// send sends a command without waiting.
func (c *caller) send(command string) error {
	c.sent++
	_, err := io.WriteString(c.conn, callTag(c.sent)+" "+command+"\r\n")
	return err
}

// obeyed sends a command and reads up to its OK.
func (c *caller) obeyed(command string, on untagged) error {
	if err := c.send(command); err != nil {
		return err
	}
	name, _, _ := strings.Cut(command, " ")
	for {
		if err := c.d.Next(); err != nil {
			return fmt.Errorf("await reply to %s: %w", name, cutShort(err))
		}
		tag := c.d.Atom()
		c.d.SP()
		switch {
		case tag == "*":
			if err := c.untagged(on); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case tag == callTag(c.sent):
			answer := string(c.d.Rest())
			if status, _, _ := strings.Cut(answer, " "); !wire.EqualFold(status, "OK") {
				return &refusedCall{name, answer}
			}
			return nil
		default:
			return fmt.Errorf("%s: unexpected answer under the tag %s", name, wire.Quoted(tag))
		}
	}
}

func (c *caller) untagged(on untagged) error {
	word := c.d.Atom()
	number, err := strconv.ParseUint(word, 10, 32)
	if err == nil {
		c.d.SP()
		word = c.d.Atom()
	}
	if c.d.Err() != nil {
		return c.d.Err()
	}
	word = strings.ToUpper(word)
	if word == "BYE" {
		return fmt.Errorf("the server said BYE%s", c.d.Rest())
	}
	if on != nil {
		if err := on(c.d, uint32(number), word); err != nil {
			return err
		}
		if c.d.Err() != nil {
			return c.d.Err()
		}
	}
	return c.d.Drain()
}

// enable turns extensions on, all of them.
func (c *caller) enable(exts []string) error {
	granted := map[string]bool{}
	err := c.obeyed("ENABLE "+strings.Join(exts, " "), func(d *wire.Decoder, _ uint32, word string) error {
		if word == "ENABLED" {
			for _, ext := range strings.Fields(strings.ToUpper(string(d.Rest()))) {
				if slices.Contains(exts, ext) {
					granted[ext] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, ext := range exts {
		if !granted[ext] {
			return cannot(atCapability, "target does not enable %s", wire.Quoted(ext))
		}
	}
	return nil
}
