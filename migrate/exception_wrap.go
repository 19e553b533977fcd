package migrate

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"imapferry/state"
)

// boundary cannot occur in base64.
const boundary = "=_imapferry_="

// lineBytes is how much of the original is on one line of base64, lineText what that line takes.
const (
	lineBytes = 57
	lineText  = 76 + 2
)

// wrapping is a message with another one as its attachment. Its size is known before anything is written.
type wrapping struct{ before, after string }

func newWrapping(s *scanned, reason error) wrapping {
	return wrapping{
		before: s.header() + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n" +
			"--" + boundary + "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" +
			"The new mail server did not take this message as it was when this mailbox was moved.\r\n" +
			"It is attached, byte by byte. The server said:\r\n\r\n" + clean(reason.Error()) + "\r\n\r\n" +
			"--" + boundary + "\r\nContent-Type: application/octet-stream; name=\"message.eml\"\r\nContent-Transfer-Encoding: base64\r\n" +
			"Content-Disposition: attachment; filename=\"message.eml\"\r\n\r\n",
		after: "--" + boundary + "--\r\n",
	}
}

// size returns the size of the whole for an attachment of n bytes.
func (w wrapping) size(n int64) int64 {
	size := n / lineBytes * lineText
	if rest := n % lineBytes; rest > 0 {
		size += (rest+2)/3*4 + 2
	}
	return int64(len(w.before)) + size + int64(len(w.after))
}

// write writes the whole as the attachment comes from body.
func (w wrapping) write(to io.Writer, body func(io.Writer) error) error {
	if _, err := io.WriteString(to, w.before); err != nil {
		return err
	}
	lines := &lineWriter{to: to}
	if err := body(lines); err != nil {
		return err
	}
	if err := lines.end(); err != nil {
		return err
	}
	_, err := io.WriteString(to, w.after)
	return err
}

// lineWriter writes base64 in lines.
type lineWriter struct {
	to   io.Writer
	held [lineBytes]byte
	n    int
}

func (l *lineWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := copy(l.held[l.n:], p)
		l.n, p, written = l.n+n, p[n:], written+n
		if l.n == lineBytes {
			if err := l.end(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// end writes the line under way.
func (l *lineWriter) end() error {
	if l.n == 0 {
		return nil
	}
	line := base64.StdEncoding.AppendEncode(make([]byte, 0, lineText), l.held[:l.n])
	l.n = 0
	_, err := l.to.Write(append(line, '\r', '\n'))
	return err
}

// noteMessage is what a message is replaced with of which there is nothing to attach.
func noteMessage(s *scanned, e state.Exception, why string) string {
	return s.header() + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" + why + "\r\n" +
		"It stayed behind when this mailbox was moved. It is in the old mailbox:\r\n\r\n" +
		fmt.Sprintf("Folder: %s\r\nUID: %d\r\nMessage-ID: %s\r\n\r\n", clean(e.Folder), e.UID, orNone(e.MessageID)) +
		"What the server said:\r\n\r\n" + clean(e.Text) + "\r\n"
}

// header returns the fields by which people find a message, as far as they are clean.
func (s *scanned) header() string {
	var b strings.Builder
	for _, name := range []string{"From", "Date", "Subject", "Message-ID"} {
		value := headerField(s.head, name)
		if value == "" && name == "Subject" {
			value = fmt.Sprintf("(message %d)", s.uid)
		}
		if value == "" && name == "From" {
			value = "imapferry <>"
		}
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	return b.String()
}

// clean makes text fit for one line of a message.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), 900)]
}
