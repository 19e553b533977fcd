package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"imapferry/state"
)

// handler returns what to answer. Only answering writes.
type handler func(r *http.Request) (any, error)

// fault is an error with the status that it is answered with.
type fault struct {
	status int
	text   string
}

func (f fault) Error() string { return f.text }

func badRequest(format string, args ...any) error {
	return fault{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func noSuchPath(r *http.Request) (any, error) {
	return nil, fault{http.StatusNotFound, "there is nothing at " + r.URL.Path}
}

func crossOrigin(*http.Request) (any, error) {
	return nil, fault{http.StatusForbidden, "a page of another origin may not ask this"}
}

// only answers requests with the given method, and HEAD as GET.
func (s *Server) only(method string, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
			s.answering(h).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", method)
		s.answering(func(*http.Request) (any, error) {
			return nil, fault{http.StatusMethodNotAllowed, r.URL.Path + " takes " + method + " only"}
		}).ServeHTTP(w, r)
	})
}

// answering refuses a body, which no request has, runs h and writes its answer.
func (s *Server) answering(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		bound(w)
		var answer any
		err := noBody(r)
		if err == nil {
			answer, err = h(r.WithContext(ctx))
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		answerWith(w, http.StatusOK, answer)
	})
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		s.Log.Warn("admin request failed", "path", r.URL.Path, "err", err)
	}
	answerWith(w, status, failure{err.Error()})
}

func answerWith(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who has gone away is told nothing
}

// noBody returns an error if r has a body. One byte is enough to know.
func noBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
		return badRequest("this request takes no body")
	}
	return nil
}

// statusOf says whose fault err is.
func statusOf(err error) int {
	var f fault
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.Is(err, state.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, state.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, state.ErrPhase), errors.Is(err, state.ErrBusy):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}
