package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces gives data in random pieces.
type pieces struct {
	data []byte
	rng  *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:1+p.rng.IntN(len(b))], p.data)
	p.data = p.data[n:]
	return n, nil
}

func newPieces(data []byte, seed uint64) *pieces {
	return &pieces{data, rand.New(rand.NewPCG(seed, 1))}
}

// readAs reads the stream by the given way until its end and returns what came.
func readAs(t *testing.T, r *Reader, way string) []byte {
	t.Helper()
	var got []byte
	for i := 0; ; i++ {
		var p []byte
		var err error
		switch way {
		case "part":
			p, _, err = r.Part()
		case "line":
			p, err = r.Line(1 << 30)
		case "chunk":
			p, err = r.Chunk(int64(1 + i%50))
		case "literal":
			var b bytes.Buffer
			_, err = io.Copy(&b, r.Literal(int64(i%300)))
			p = b.Bytes()
			if err == nil && i%300 != 0 && len(p) != i%300 {
				t.Fatalf("literal of %d bytes gave %d", i%300, len(p))
			}
		}
		got = append(got, p...)
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatalf("%s: %v", way, err)
			}
			rest, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return append(got, rest...)
		}
	}
}

func checkReader(t *testing.T, data []byte, size int, seed uint64) {
	t.Helper()
	for _, way := range []string{"part", "line", "chunk", "literal"} {
		got := readAs(t, NewReader(newPieces(data, seed), size), way)
		// A line that the end of the stream cuts short is not returned, and Line has taken its parts.
		want := data
		if way == "line" {
			got, want = wholeLines(got), wholeLines(want)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s with a buffer of %d: %d bytes; want %d", way, size, len(got), len(want))
		}
	}
}

func wholeLines(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')+1] }

func TestReaderChunking(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		data := make([]byte, rng.IntN(20000))
		for i := range data {
			data[i] = "ab \r\n{3}"[rng.IntN(8)]
			if seed%2 == 0 && rng.IntN(400) > 0 {
				data[i] = 'x'
			}
		}
		checkReader(t, data, 64+rng.IntN(300), seed)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a NOOP\r\nb APPEND x {3}\r\nabc\r\n"), uint16(64), uint64(1))
	f.Add([]byte(strings.Repeat("x", 500)+"{12+}\r\n\n\n"), uint16(64), uint64(2))
	f.Add([]byte("\n\r\n no end"), uint16(1), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint16, seed uint64) {
		checkReader(t, data, max(1, int(size)), seed)
	})
}

// TestReaderPartMarker moves the marker of a literal over the end of the buffer: it is never split, so the relay sees it.
func TestReaderPartMarker(t *testing.T) {
	const marker = "~{1234567890123456789+}\r\n"
	for n := range 200 {
		r := NewReader(strings.NewReader(strings.Repeat("x", n)+marker), 64)
		for {
			part, eol, err := r.Part()
			if err != nil {
				t.Fatal(err)
			}
			if !eol {
				continue
			}
			if _, _, ok := ParseLiteral(part); !ok {
				t.Errorf("%d bytes before the marker: last part is %q", n, part)
			}
			break
		}
	}
}

func TestReaderBounds(t *testing.T) {
	tests := []struct {
		data string
		max  int
		want error
	}{
		{"12345678\r\n", 10, nil},
		{"123456789\r\n", 10, ErrLineTooLong},
		{strings.Repeat("x", 200) + "\r\n", 202, nil},
		{strings.Repeat("x", 200) + "\r\n", 201, ErrLineTooLong},
		{strings.Repeat("x", 200), 300, io.ErrUnexpectedEOF},
		{"x", 300, io.ErrUnexpectedEOF},
		{"", 300, io.EOF},
	}
	for _, tt := range tests {
		line, err := NewReader(strings.NewReader(tt.data), 64).Line(tt.max)
		if !errors.Is(err, tt.want) || err == nil && string(line) != tt.data {
			t.Errorf("Line(%d) of %d bytes = %q, %v; want %v", tt.max, len(tt.data), line, err, tt.want)
		}
	}
}

// TestReaderResumes interrupts a line by an error, as a deadline does: no byte is lost.
func TestReaderResumes(t *testing.T) {
	src := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a NOOP\r\n")))
	r := NewReader(src, 0)
	if _, _, err := r.Part(); !errors.Is(err, iotest.ErrTimeout) {
		t.Fatalf("Part = %v; want a timeout", err)
	}
	if part, eol, err := r.Part(); string(part) != "a NOOP\r\n" || !eol || err != nil {
		t.Errorf("Part = %q, %v, %v", part, eol, err)
	}
}

func TestReaderNoProgress(t *testing.T) {
	r := NewReader(stuck{}, 0)
	if _, err := r.Line(10); err != io.ErrNoProgress {
		t.Errorf("Line = %v; want %v", err, io.ErrNoProgress)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReaderHandOn(t *testing.T) {
	r := NewReader(strings.NewReader("a STARTTLS\r\ninjected"), 0)
	if _, err := r.Line(100); err != nil {
		t.Fatal(err)
	}
	if n := r.Discard(); n != len("injected") || r.Buffered() != 0 {
		t.Errorf("Discard = %d; %d buffered", n, r.Buffered())
	}
	r.Source(strings.NewReader("b NOOP\r\n"))
	if line, err := r.Line(100); string(line) != "b NOOP\r\n" || err != nil {
		t.Errorf("Line = %q, %v", line, err)
	}
}

func TestLiteralCutShort(t *testing.T) {
	_, err := io.ReadAll(NewReader(strings.NewReader("abc"), 0).Literal(4))
	if err != io.ErrUnexpectedEOF {
		t.Errorf("ReadAll = %v; want %v", err, io.ErrUnexpectedEOF)
	}
	_, err = io.Copy(io.Discard, NewReader(strings.NewReader("abc"), 0).Literal(4))
	if err != io.ErrUnexpectedEOF {
		t.Errorf("Copy = %v; want %v", err, io.ErrUnexpectedEOF)
	}
}

// A Reader holds a small buffer until more comes than fits, and none after Release; nothing is lost on the way.
func TestReaderBuffer(t *testing.T) {
	line := strings.Repeat("x", firstBuffer/2) + "\r\n"
	r := NewReader(strings.NewReader(strings.Repeat(line, 100)), 0)
	if r.buf != nil {
		t.Error("a buffer before the first read")
	}
	for i := range 100 {
		if i == 1 && len(r.buf) != firstBuffer {
			t.Errorf("a buffer of %d bytes after one line", len(r.buf))
		}
		if got, err := r.Line(len(line)); string(got) != line || err != nil {
			t.Fatalf("line %d: %.20q…, %v", i, got, err)
		}
	}
	if len(r.buf) != DefaultBuffer {
		t.Errorf("a buffer of %d bytes after many lines", len(r.buf))
	}
	r.Release()
	r.Source(strings.NewReader("a\r\nb"))
	if got, err := r.Line(10); r.buf == nil || len(r.buf) != firstBuffer || string(got) != "a\r\n" || err != nil {
		t.Errorf("after Release: %q, %v, buffer of %d bytes", got, err, len(r.buf))
	}
	if r.Release(); r.Buffered() != 1 {
		t.Error("Release has dropped what was read ahead")
	}
}
