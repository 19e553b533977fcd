package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Errors of framing. After any of them the stream has lost its frame and must be closed.
var (
	ErrLineTooLong    = errors.New("line too long")
	ErrLiteralTooLong = errors.New("literal too long")
	ErrSyntax         = errors.New("syntax error")
)

// DefaultBuffer is the size of a Reader's buffer in bytes: one full TLS record.
const DefaultBuffer = 16 << 10

// markerRoom is enough for the longest marker of a literal with its line end: "~{", 19 digits, "+}" and CRLF. Buffers below
// twice that size give up the promise of Part not to split it.
const markerRoom = 32

// firstBuffer is the size that a Reader of the default size begins with. Most commands and most answers to a login fit
// into it, and where thousands log in or wait at the same time, what they hold while they wait is what they cost.
const firstBuffer = 1 << 10

// Buffers that no Reader needs at the moment.
var (
	buffers      = sync.Pool{New: func() any { return new([DefaultBuffer]byte) }}
	firstBuffers = sync.Pool{New: func() any { return new([firstBuffer]byte) }}
)

// Reader frames a byte stream. It is not safe for concurrent use.
type Reader struct {
	src  io.Reader
	size int
	buf  []byte // nil until the first read, and after Release
	full bool   // the last read has filled it: more may be waiting than fits
	r, w int    // buf[r:w] was read and not yet returned
	long []byte // holds a line that did not fit into buf
}

// NewReader returns a Reader with a buffer of size bytes (DefaultBuffer if size is 0).
func NewReader(src io.Reader, size int) *Reader {
	if size <= 0 {
		size = DefaultBuffer
	}
	return &Reader{src: src, size: size}
}

// Release gives the buffer back if nothing is in it, as a connection should that waits for long. What was returned
// before is not valid any more; the next read takes a buffer again.
func (r *Reader) Release() {
	if r.r != r.w || r.buf == nil {
		return
	}
	r.put()
	r.buf, r.full, r.long, r.r, r.w = nil, false, nil, 0, 0
}

// put gives the buffer to others.
func (r *Reader) put() {
	switch {
	case r.size != DefaultBuffer:
	case len(r.buf) == firstBuffer:
		firstBuffers.Put((*[firstBuffer]byte)(r.buf))
	default:
		buffers.Put((*[DefaultBuffer]byte)(r.buf))
	}
}

// Buffered returns how many bytes were read ahead.
func (r *Reader) Buffered() int { return r.w - r.r }

// Discard drops what was read ahead and returns how much that was: STARTTLS demands it (RFC 9051, 6.2.1).
func (r *Reader) Discard() int {
	n := r.Buffered()
	r.r, r.w = 0, 0
	return n
}

// Source replaces the stream below, after a TLS handshake, and returns the old one. Nothing may be buffered.
func (r *Reader) Source(src io.Reader) io.Reader {
	old := r.src
	r.src = src
	return old
}

// fill reads once into the free part of buf, making room first. It returns io.EOF only with nothing read.
func (r *Reader) fill() error {
	if r.buf == nil {
		r.take()
	}
	if r.r > 0 {
		copy(r.buf, r.buf[r.r:r.w])
		r.w -= r.r
		r.r = 0
	}
	if r.full && len(r.buf) < r.size {
		r.grow()
	}
	for range 100 { // a source that returns (0, nil) forever is broken: io.Reader discourages it
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		r.full = r.w == len(r.buf)
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (r *Reader) take() {
	if r.size == DefaultBuffer {
		r.buf = firstBuffers.Get().(*[firstBuffer]byte)[:]
		return
	}
	r.buf = make([]byte, r.size)
}

// grow takes a buffer of the whole size, which stays until Release.
func (r *Reader) grow() {
	buf := buffers.Get().(*[DefaultBuffer]byte)[:]
	copy(buf, r.buf[:r.w])
	r.put()
	r.buf = buf
}

// Ready reports whether Part would return without waiting.
func (r *Reader) Ready() bool {
	return bytes.IndexByte(r.buf[r.r:r.w], '\n') >= 0 || r.w-r.r == r.size
}

// Fill reads once from the stream and keeps what has come. Part must not be Ready. io.ErrUnexpectedEOF is an end of
// the stream behind bytes that have not been returned.
func (r *Reader) Fill() error {
	err := r.fill()
	if err == io.EOF && r.r != r.w {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Back makes the last n bytes that Part has returned the next ones again. Nothing may have been read since.
func (r *Reader) Back(n int) { r.r -= n }

// Part returns the next bytes up to and including the next LF, or most of what the buffer holds if no LF is among them; eol tells
// which. It waits for more only while it has neither. A part that does not end its line leaves the last markerRoom bytes for the
// next one, so that CRLF and the marker of a literal are never split. The slice is valid until the next call. This is
// how the relay passes on lines of any length with bounded memory.
func (r *Reader) Part() (part []byte, eol bool, err error) {
	seen := 0
	for {
		if i := bytes.IndexByte(r.buf[r.r+seen:r.w], '\n'); i >= 0 {
			part = r.buf[r.r : r.r+seen+i+1]
			r.r += len(part)
			return part, true, nil
		}
		if seen = r.Buffered(); seen == r.size {
			part = r.buf[r.r : r.w-min(markerRoom, r.size/2)]
			r.r += len(part)
			return part, false, nil
		}
		if err := r.fill(); err != nil {
			if seen > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, false, err
		}
	}
}

// Line returns the next line with its line end, at most max bytes. The slice is valid until the next call. An end of
// the stream inside a line is io.ErrUnexpectedEOF.
func (r *Reader) Line(max int) ([]byte, error) {
	part, eol, err := r.Part()
	if err != nil {
		return nil, err
	}
	if eol {
		if len(part) > max {
			return nil, fmt.Errorf("%w: over %d bytes", ErrLineTooLong, max)
		}
		return part, nil
	}
	r.long = r.long[:0]
	for {
		if len(r.long)+len(part) > max {
			r.long = nil
			return nil, fmt.Errorf("%w: over %d bytes", ErrLineTooLong, max)
		}
		r.long = append(r.long, part...)
		if eol {
			return r.long, nil
		}
		if part, eol, err = r.Part(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// Read implements io.Reader over what was read ahead and then the stream: literals are read by it.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		if len(p) >= r.size {
			return r.src.Read(p)
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}

// Chunk returns up to max bytes that follow, waiting only when none are buffered. The slice is valid until
// the next call; it saves the copy that Read makes.
func (r *Reader) Chunk(max int64) ([]byte, error) {
	if r.r == r.w {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	n := r.Buffered()
	if int64(n) > max {
		n = int(max)
	}
	c := r.buf[r.r : r.r+n]
	r.r += n
	return c, nil
}
