package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"imapferry/internal/wire"
)

// Bounds of one command before the login. ID parameters make lines of 32 KB legal there (RFC 2971, 3.3: 30 pairs of 1 KB).
const (
	maxLine       = 64 << 10  // bytes of one line
	maxCommand    = 128 << 10 // bytes of all lines and literals of one command
	maxCredential = 8 << 10   // bytes of one literal
	maxTag        = 256       // bytes of a tag, which is echoed
)

// command is one whole command before the login: its literals have been read.
type command struct {
	tag  string // "*" if the client's cannot be echoed
	name string // upper case
	args *wire.Decoder
}

// commandReader reads whole commands. It frames first and leaves the grammar to the handlers, so that a syntax error never loses
// the frame.
type commandReader struct {
	r *wire.Reader
	// proceed sends the continuation request for a synchronizing literal.
	proceed func() error
	// refuse tells why the named command may not send a literal; nil if it may.
	refuse func(name string) error
}

// next reads one command. A *reply as error goes to the client under command.tag, and reading goes on; any other
// error ends the stream.
func (c *commandReader) next() (command, error) {
	line, err := c.r.Line(maxLine)
	if err != nil {
		return command{}, err
	}
	frame := bytes.Clone(line)
	cmd, args, refusal := parseHead(frame)
	for {
		lit, _, ok := wire.ParseLiteral(line)
		if !ok {
			break
		}
		if refusal == nil {
			refusal = c.refuse(cmd.name)
		}
		if refusal == nil && lit.Size > maxCredential {
			refusal = bad(fmt.Sprintf("literal too long: over %d bytes", maxCredential))
		}
		if refusal != nil && !lit.NonSync {
			return cmd, refusal // the client waits for this answer and sends no literal (RFC 9051, 4.3)
		}
		if frame, line, err = c.literal(frame, lit); err != nil {
			return cmd, err
		}
	}
	if refusal != nil {
		return cmd, refusal
	}
	cmd.args = wire.NewDecoder(wire.NewReader(bytes.NewReader(frame[args:]), 0),
		wire.Limits{Line: maxCommand, Literal: maxCredential, Total: maxCommand})
	if err := cmd.args.Next(); err != nil {
		return cmd, bad("syntax error")
	}
	return cmd, nil
}

// literal appends the literal and the line behind it to frame.
func (c *commandReader) literal(frame []byte, lit wire.Literal) (all, line []byte, err error) {
	if lit.Size > int64(maxCommand-len(frame)) {
		return nil, nil, wire.ErrLiteralTooLong
	}
	if !lit.NonSync {
		if err := c.proceed(); err != nil {
			return nil, nil, err
		}
	}
	start := len(frame)
	frame = append(frame, make([]byte, lit.Size)...)
	if _, err := io.ReadFull(c.r, frame[start:]); err != nil {
		return nil, nil, err
	}
	if line, err = c.r.Line(maxLine); err != nil {
		return nil, nil, err
	}
	frame = append(frame, line...)
	if len(frame) > maxCommand {
		return nil, nil, wire.ErrLineTooLong
	}
	return frame, line, nil
}

// parseHead takes tag and name off the line and returns where the arguments begin.
func parseHead(line []byte) (cmd command, args int, err error) {
	text := wire.TrimEOL(line)
	tag, rest := wire.Tag(text)
	if !validTag(tag) {
		return command{tag: "*"}, 0, bad("a command begins with a tag")
	}
	cmd.tag = string(tag)
	name, _ := wire.Tag(rest)
	if len(name) == 0 {
		return cmd, 0, bad("a tag is followed by a command")
	}
	cmd.name = strings.ToUpper(string(name[:min(len(name), 32)]))
	return cmd, len(tag) + 1 + len(name), nil
}

// validTag holds tags to RFC 9051, section 9: ASTRING-CHAR except "+". Anything else echoed could pass for another response.
func validTag(tag []byte) bool {
	if len(tag) == 0 || len(tag) > maxTag {
		return false
	}
	for _, c := range tag {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\+`, c) >= 0 {
			return false
		}
	}
	return true
}
