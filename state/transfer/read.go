package transfer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"imapferry/state"
)

// Reader reads what a Writer has written.
type Reader struct {
	lines  *bufio.Scanner
	number int // of the last line that was read
	digest hash.Hash
	store  string
	counts Counts
}

var (
	errCut   = errors.New("the last line is missing: it was cut short, or its export failed")
	errOther = errors.New("no state that imapferry has exported")
)

// NewReader reads the first line.
func NewReader(r io.Reader) (*Reader, error) {
	t := &Reader{lines: bufio.NewScanner(r), digest: sha256.New()}
	t.lines.Buffer(nil, maxLine)
	text, err := t.next()
	if errors.Is(err, errCut) || errors.Is(err, bufio.ErrTooLong) {
		err = errOther
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var h header
	if json.Unmarshal(text, &h) != nil || h.Kind != kind {
		return nil, fmt.Errorf("read state: %w", errOther)
	}
	if h.Form != form {
		return nil, fmt.Errorf("read state: it has form %d and this version of imapferry takes %d: import with the version that has exported", h.Form, form)
	}
	if err := state.CheckName("store's id", h.Store); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	t.store = h.Store
	t.sum(text)
	return t, nil
}

// Store returns the id of the store that was exported.
func (r *Reader) Store() string { return r.store }

func (r *Reader) sum(text []byte) {
	r.digest.Write(text)
	r.digest.Write([]byte{'\n'})
}

func (r *Reader) next() ([]byte, error) {
	r.number++
	if !r.lines.Scan() {
		if err := r.lines.Err(); err != nil {
			return nil, err
		}
		return nil, errCut
	}
	return r.lines.Bytes(), nil
}

// Into hands over everything to to. After an error it is not whole, whatever to has taken.
func (r *Reader) Into(ctx context.Context, to state.Taker) (Counts, error) {
	for {
		ended, err := r.hand(ctx, to)
		if err != nil {
			return Counts{}, fmt.Errorf("read state: line %d: %w", r.number, err)
		}
		if ended {
			return r.counts, nil
		}
	}
}

// hand hands over a line, and reports whether it was the last one.
func (r *Reader) hand(ctx context.Context, to state.Taker) (ended bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	text, err := r.next()
	if err != nil {
		return false, err
	}
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); errors.Is(err, io.ErrUnexpectedEOF) {
		return false, errCut
	} else if err != nil {
		return false, err
	}
	if l.End != nil {
		return true, r.end(l.End)
	}
	r.sum(text)
	return false, r.take(ctx, to, l)
}

// take hands over what stands in a line.
func (r *Reader) take(ctx context.Context, to state.Taker, l line) error {
	switch {
	case l == (line{}):
		return errors.New("nothing stands in it")
	case l.Journal != nil:
		r.counts.Journals++
		if err := state.CheckName("node", l.Journal.Node); err != nil {
			return err
		}
		return to.Journal(ctx, l.Journal.Node, l.Journal.Posted)
	case l.User != nil:
		r.counts.Users++
		if err := l.User.Check(); err != nil {
			return err
		}
		return to.User(ctx, *l.User)
	case l.Claim != nil:
		r.counts.Claims++
		if err := errors.Join(state.CheckTokens([]string{string(l.Claim.Token)}), state.CheckName("user", l.Claim.User)); err != nil {
			return err
		}
		return to.Claim(ctx, string(l.Claim.Token), l.Claim.User)
	case r.counts.Users == 0:
		return errors.New("no user stands before it")
	case l.Folder != nil:
		r.counts.Folders++
		f, err := state.UnpackFolder(string(l.Folder.Name), l.Folder.Packed)
		if err := errors.Join(err, f.Check()); err != nil {
			return err
		}
		return to.Folder(ctx, f)
	}
	r.counts.Exceptions++
	e, err := state.UnpackException(string(l.Exception.Key), l.Exception.Packed)
	if err := errors.Join(err, e.Check()); err != nil {
		return err
	}
	return to.Exception(ctx, e)
}

// end compares the last line with what was before it.
func (r *Reader) end(e *end) error {
	if e.Counts != r.counts || !bytes.Equal(e.SHA256, r.digest.Sum(nil)) {
		return errors.New("what stands before the last line is not what was exported")
	}
	if text, err := r.next(); err == nil {
		return fmt.Errorf("%.20q stands behind the end", text)
	} else if !errors.Is(err, errCut) {
		return err
	}
	return nil
}
