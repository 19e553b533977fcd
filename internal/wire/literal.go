package wire

import (
	"io"
	"strconv"
)

// Literal is the marker that ends a line and announces that Size bytes follow (RFC 9051, 4.3; literal8 RFC 3516).
type Literal struct {
	Size    int64
	NonSync bool // {n+}: the sender does not wait for a continuation request (RFC 7888)
	Binary  bool // ~{n}
}

// ParseLiteral finds the literal marker at the end of line, which may still carry its line end. start is where the
// marker begins in line. ok is false if the line does not end in one, or its size does not fit into 63 bits.
func ParseLiteral(line []byte) (lit Literal, start int, ok bool) {
	n := len(TrimEOL(line))
	if n < 3 || line[n-1] != '}' {
		return Literal{}, 0, false
	}
	i := n - 2
	if line[i] == '+' {
		lit.NonSync = true
		i--
	}
	digits := i + 1
	for i >= 0 && line[i] >= '0' && line[i] <= '9' {
		i--
	}
	if i < 0 || line[i] != '{' || digits-(i+1) < 1 || digits-(i+1) > 19 {
		return Literal{}, 0, false
	}
	size, err := strconv.ParseInt(string(line[i+1:digits]), 10, 64)
	if err != nil {
		return Literal{}, 0, false
	}
	lit.Size = size
	if i > 0 && line[i-1] == '~' {
		lit.Binary = true
		i--
	}
	return lit, i, true
}

// TrimEOL cuts CRLF, or a lone LF, off the end of line.
func TrimEOL(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line
}

// LiteralReader reads the body of one literal. A stream that ends inside it gives io.ErrUnexpectedEOF, never a
// shorter message that looks whole.
type LiteralReader struct {
	r    *Reader
	left int64
}

// Literal returns a reader of the size bytes that follow. It must be read to its end before the Reader is used again.
func (r *Reader) Literal(size int64) *LiteralReader { return &LiteralReader{r, size} }

// Left returns how many bytes are still unread.
func (l *LiteralReader) Left() int64 { return l.left }

// Read implements io.Reader.
func (l *LiteralReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, cutShort(err)
}

// WriteTo implements io.WriterTo without a copy.
func (l *LiteralReader) WriteTo(w io.Writer) (n int64, err error) {
	for l.left > 0 {
		c, err := l.r.Chunk(l.left)
		if err != nil {
			return n, cutShort(err)
		}
		l.left -= int64(len(c))
		m, err := w.Write(c)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
