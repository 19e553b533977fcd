package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"imapferry/state"
)

// Bounds of verifications. Each takes a connection to either mail server.
const (
	maxVerifying  = 4
	verifyRequest = 64 << 10 // bytes
)

// VerifyRequest says what to compare.
type VerifyRequest struct {
	Bodies string `json:"bodies,omitempty"` // all, sample or none; empty is sample
	From   string `json:"from,omitempty"`   // the folder to begin with; empty: the first one
}

// Verifier compares source and target of user. Each line that it reports goes to the client at once; it is encoded as
// JSON and must have no field error. An error that wraps state.ErrInvalid is the caller's fault. It ends when ctx does.
type Verifier func(ctx context.Context, user string, ask VerifyRequest, report func(line any)) error

// verify streams what the verifier reports. An error before the first line is answered as any other.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		s.only(http.MethodPost, nil).ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &stream{w: w, control: http.NewResponseController(w), cancel: cancel}
	err := s.runVerifier(ctx, w, r, out)
	switch {
	case err == nil:
		out.begin()
	case out.begun:
		s.Log.Warn("verification not ended", "path", r.URL.Path, "err", err)
		out.line(failure{err.Error()})
	default:
		s.refuse(w, r, err)
	}
}

func (s *Server) runVerifier(ctx context.Context, w http.ResponseWriter, r *http.Request, out *stream) error {
	bound(w)
	ask, err := readVerifyRequest(w, r)
	if err != nil {
		return err
	}
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	user, err := s.named(r.WithContext(brief))
	if err != nil {
		return err
	}
	if s.Verify == nil {
		return fault{http.StatusNotFound, "this node does not verify"}
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	default:
		return fault{http.StatusConflict, "too many verifications are under way at this node; wait for one to end"}
	}
	_ = out.control.SetReadDeadline(time.Time{}) // the server reads on to see the client go, and must not take silence for that
	return s.Verify(ctx, user, ask, out.line)
}

// readVerifyRequest reads the body to its end, because only then the server sees when the client goes away.
func readVerifyRequest(w http.ResponseWriter, r *http.Request) (ask VerifyRequest, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, verifyRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return ask, badRequest("the body has more than %d bytes", verifyRequest)
	}
	if err != nil || len(body) == 0 {
		return ask, err
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		return ask, badRequest("the body must be as {\"bodies\": \"sample\"}: %v", err)
	}
	if ask.From != "" {
		if err := (state.Folder{Name: ask.From}).Check(); err != nil {
			return ask, err
		}
	}
	return ask, nil
}

// stream is an answer of many lines. It belongs to one goroutine.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	cancel  context.CancelFunc // ends what reports, when nobody reads any more
	begun   bool
}

func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "application/x-ndjson")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.WriteHeader(http.StatusOK)
}

// line sends one line. A client that does not take it in time is gone.
func (s *stream) line(v any) {
	s.begin()
	_ = s.control.SetWriteDeadline(time.Now().Add(patience))
	err := json.NewEncoder(s.w).Encode(v)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.cancel()
	}
}
