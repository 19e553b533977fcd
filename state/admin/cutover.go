package admin

import (
	"fmt"
	"net/http"

	"imapferry/state"
)

// cutover releases a user: the switch comes as soon as both sides are proven equal, whatever the cutover policy says. Nothing is
// switched that would not be otherwise, so who is held has to be dealt with first.
func (s *Server) cutover(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	rec, err := s.Store.Get(r.Context(), name)
	if err != nil {
		return nil, err
	}
	if rec.Phase == state.Held {
		return nil, fault{http.StatusConflict, fmt.Sprintf("%s is held: %s; mend that and `imapferry retry %s` first", name, rec.Reason, name)}
	}
	rec, err = s.Store.ReleaseUser(r.Context(), name)
	if err != nil {
		return nil, tooLate(err, name+" is on the target already")
	}
	s.Log.Info("released", "user", name, "phase", rec.Phase)
	s.Notify(name)
	return s.shown(rec), nil
}
