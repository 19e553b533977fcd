package admin

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"imapferry/state"
)

// Forgotten is the answer to a node's being forgotten.
type Forgotten struct {
	Node string `json:"node"`
}

// forget takes a node off the roster that is gone for good.
func (s *Server) forget(r *http.Request) (any, error) {
	name := r.PathValue("name")
	if err := state.CheckName("node", name); err != nil {
		return nil, err
	}
	err := s.Store.Forget(r.Context(), name)
	var taken *state.Taken
	switch {
	case errors.As(err, &taken):
		return nil, fault{http.StatusConflict, fmt.Sprintf("node %s runs, for all that is known; if it was stopped or killed, it counts as dead in %s at the most", name, max(0, taken.Left()).Round(time.Second))}
	case errors.Is(err, state.ErrUnknown):
		return nil, fault{http.StatusNotFound, fmt.Sprintf("no node %s is waited for at any time; imapferry status --json lists those that are", name)}
	case err != nil:
		return nil, err
	}
	s.Log.Warn("node forgotten: users whose switch its journal alone knew are unknown now", "node", name)
	return Forgotten{name}, nil
}
