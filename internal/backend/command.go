package backend

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// Caps are capabilities in upper case, in the server's order.
type Caps []string

// ParseCaps reads the words behind CAPABILITY.
func ParseCaps(text string) Caps { return strings.Fields(strings.ToUpper(text)) }

// Has reports whether name, in upper case, is among them.
func (c Caps) Has(name string) bool {
	return slices.Contains(c, name)
}

// Command sends one command line and reads up to its completion. It returns the text of an OK with its response code,
// a *Refused, or an error after which the connection is of no use. Untagged responses are in Untagged.
func (c *Conn) Command(line string) (text string, err error) {
	return c.command(line, nil)
}

// Untagged returns the untagged responses of the last Command that are not about capabilities: whole lines with literals.
func (c *Conn) Untagged() [][]byte { return c.untagged }

// command is Command with answers to continuation requests, one each.
func (c *Conn) command(line string, answers []string) (string, error) {
	name, _, _ := strings.Cut(line, " ")
	c.tag++
	tag := "f" + strconv.Itoa(c.tag)
	c.untagged = nil
	if _, err := io.WriteString(c.Conn, tag+" "+line+"\r\n"); err != nil {
		return "", fmt.Errorf("send %s: %w", name, err)
	}
	for range maxResponses {
		resp, err := c.readResponse()
		if err != nil {
			return "", fmt.Errorf("await reply to %s: %w", name, err)
		}
		first, rest := wire.Tag(resp)
		switch string(first) {
		case tag:
			status, text, _ := strings.Cut(string(rest), " ")
			if status = strings.ToUpper(status); status != "OK" {
				return "", c.refused(name, status, text)
			}
			c.noteCode(text)
			return text, nil
		case "+":
			answer := "*" // RFC 9051, 6.2.2: cancels an authentication exchange that asks for too much
			if len(answers) > 0 {
				answer, answers = answers[0], answers[1:]
			}
			if _, err := io.WriteString(c.Conn, answer+"\r\n"); err != nil {
				return "", fmt.Errorf("continue %s: %w", name, err)
			}
		case "*":
			if err := c.takeUntagged(name, resp); err != nil {
				return "", err
			}
		default:
			return "", fmt.Errorf("await reply to %s: unknown tag %s", name, wire.Quoted(clip(first)))
		}
	}
	return "", fmt.Errorf("await reply to %s: over %d responses", name, maxResponses)
}

func (c *Conn) takeUntagged(name string, resp []byte) error {
	_, rest := wire.Tag(resp)
	if word, caps, _ := strings.Cut(string(rest), " "); wire.EqualFold(word, "CAPABILITY") {
		c.Caps = ParseCaps(caps)
		return nil
	}
	if status, text, ok := untaggedStatus(resp); ok && status == "BYE" {
		return c.refused(name, status, text)
	}
	c.untagged = append(c.untagged, bytes.Clone(resp))
	return nil
}

// askCaps sends CAPABILITY.
func (c *Conn) askCaps() error {
	c.Caps = nil
	if _, err := c.Command("CAPABILITY"); err != nil {
		return err
	}
	if c.Caps == nil {
		return fmt.Errorf("%s named no capabilities", c.backend.name)
	}
	return nil
}

// noteCode takes capabilities out of a response code.
func (c *Conn) noteCode(text string) {
	code, _ := wire.SplitCode(text)
	if word, caps, _ := strings.Cut(code, " "); wire.EqualFold(word, "CAPABILITY") {
		c.Caps = ParseCaps(caps)
	}
}

func (c *Conn) refused(command, status, text string) error {
	code, rest := wire.SplitCode(text)
	return &Refused{Backend: c.backend.name, Command: command, Status: status, Code: code, Text: rest, said: rest}
}

// readResponse reads one response with its literals, within maxResponse. The slice is the caller's only until the
// next read unless it holds a literal.
func (c *Conn) readResponse() ([]byte, error) {
	line, err := c.R.Line(maxResponse)
	if err != nil {
		return nil, err
	}
	lit, _, ok := wire.ParseLiteral(line)
	if !ok {
		return line, nil
	}
	var all []byte
	for ok {
		all = append(all, line...)
		if lit.Size > int64(maxResponse-len(all)) { // in this form it cannot overflow
			return nil, fmt.Errorf("%w: %d bytes", wire.ErrLiteralTooLong, lit.Size)
		}
		body := make([]byte, lit.Size)
		if _, err := io.ReadFull(c.R.Literal(lit.Size), body); err != nil {
			return nil, err
		}
		all = append(all, body...)
		if line, err = c.R.Line(maxResponse - len(all)); err != nil {
			return nil, err
		}
		lit, _, ok = wire.ParseLiteral(line)
	}
	return append(all, line...), nil
}

// untaggedStatus splits "* OK text".
func untaggedStatus(line []byte) (status, text string, ok bool) {
	star, rest := wire.Tag(line)
	word, text, _ := strings.Cut(string(rest), " ")
	switch status = strings.ToUpper(word); status {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return status, text, string(star) == "*"
	}
	return "", "", false
}

func clip(b []byte) []byte { return b[:min(len(b), 80)] }
