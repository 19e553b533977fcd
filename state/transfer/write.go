package transfer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"

	"imapferry/state"
)

// Writer is a state.Taker that writes lines.
type Writer struct {
	out    *bufio.Writer
	digest hash.Hash
	enc    *json.Encoder // to both
	counts Counts
}

var _ state.Taker = (*Writer)(nil)

// NewWriter begins with the first line. store is the id of the store that is exported.
func NewWriter(w io.Writer, store string) (*Writer, error) {
	t := &Writer{out: bufio.NewWriter(w), digest: sha256.New()}
	t.enc = json.NewEncoder(io.MultiWriter(t.out, t.digest))
	return t, t.enc.Encode(header{kind, form, store})
}

// Journal implements state.Taker.
func (w *Writer) Journal(_ context.Context, node string, posted bool) error {
	w.counts.Journals++
	return w.enc.Encode(line{Journal: &journal{node, posted}})
}

// User implements state.Taker.
func (w *Writer) User(_ context.Context, k state.Kept) error {
	w.counts.Users++
	return w.enc.Encode(line{User: &k})
}

// Folder implements state.Taker.
func (w *Writer) Folder(_ context.Context, f state.Folder) error {
	w.counts.Folders++
	return w.enc.Encode(line{Folder: &folder{[]byte(f.Name), f.Pack()}})
}

// Exception implements state.Taker.
func (w *Writer) Exception(_ context.Context, e state.Exception) error {
	w.counts.Exceptions++
	return w.enc.Encode(line{Exception: &exception{[]byte(e.Key()), e.Pack()}})
}

// Claim implements state.Taker.
func (w *Writer) Claim(_ context.Context, token, user string) error {
	w.counts.Claims++
	return w.enc.Encode(line{Claim: &claim{[]byte(token), user}})
}

// Finish writes the last line. Without it nobody takes the rest.
func (w *Writer) Finish() (Counts, error) {
	if err := w.enc.Encode(line{End: &end{w.counts, w.digest.Sum(nil)}}); err != nil {
		return Counts{}, err
	}
	return w.counts, w.out.Flush()
}
