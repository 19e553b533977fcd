package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"imapferry/state"
)

// Sizes of a page of users.
const (
	pageDefault = 100
	pageMost    = 1000
)

// shown adds to a record what this node knows.
func (s *Server) shown(rec state.Record) User {
	u := User{Record: rec, Sessions: s.Sessions(rec.User)}
	if !rec.Started.IsZero() {
		u.StartedAt = &rec.Started
	}
	if !rec.Migrated.IsZero() {
		u.MigratedAt = &rec.Migrated
	}
	return u
}

// named returns the canonical name of the user in the path.
func (s *Server) named(r *http.Request) (string, error) {
	given := r.PathValue("name")
	if err := state.CheckName("user", given); err != nil {
		return "", err
	}
	user, err := s.Canonical(r.Context(), given)
	if err != nil {
		return "", fmt.Errorf("find the canonical name of %s: %w", given, err)
	}
	return user, nil
}

func (s *Server) user(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	rec, err := s.Store.Get(r.Context(), name)
	if err != nil {
		return nil, err
	}
	return s.shown(rec), nil
}

func (s *Server) users(r *http.Request) (any, error) {
	query := r.URL.Query()
	var phase state.Phase
	if p := query.Get("phase"); p != "" {
		var err error
		if phase, err = state.ParsePhase(p); err != nil {
			return nil, badRequest("%v; the phases are %v", err, state.Phases)
		}
	}
	limit := pageDefault
	if l := query.Get("limit"); l != "" {
		var err error
		if limit, err = strconv.Atoi(l); err != nil || limit < 1 || limit > pageMost {
			return nil, badRequest("limit %q: must be a number from 1 to %d", l, pageMost)
		}
	}
	records, err := s.Store.List(r.Context(), phase, query.Get("after"), limit)
	if err != nil {
		return nil, err
	}
	page := Page{Users: make([]User, len(records))}
	for i, rec := range records {
		page.Users[i] = s.shown(rec)
	}
	if len(records) == limit {
		page.Next = records[limit-1].User
	}
	return page, nil
}

func (s *Server) migrate(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	rec, err := s.Store.Offer(r.Context(), name)
	if err != nil {
		return nil, err
	}
	s.Notify(name)
	return s.shown(rec), nil
}

func (s *Server) retry(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	if park, err := asked(r, "park"); err != nil {
		return nil, err
	} else if park {
		if _, err := s.Store.Park(r.Context(), name); err != nil {
			return nil, tooLate(err, name+" is on the target already: mail is moved aside only before the switch")
		}
	}
	rec, err := s.Store.Retry(r.Context(), name)
	if err != nil {
		return nil, tooLate(err, name+" is finalized: there is nothing left to try")
	}
	s.Notify(name)
	return s.shown(rec), nil
}

// tooLate says text where the user's phase is the reason.
func tooLate(err error, text string) error {
	if errors.Is(err, state.ErrPhase) {
		return fault{http.StatusConflict, text}
	}
	return err
}

// asked reports whether the query says yes to name.
func asked(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	yes, err := strconv.ParseBool(v)
	if err != nil {
		return false, badRequest("%s %q: must be true or false", name, v)
	}
	return yes, nil
}

// status answers even when the store does not: that is when operators ask.
func (s *Server) status(r *http.Request) (any, error) {
	st := Status{Version: s.Version, Users: map[state.Phase]int64{}, Nodes: []state.Node{}, Roster: []string{}}
	counts, err := s.Store.Counts(r.Context())
	if err != nil {
		st.Store.Error = err.Error()
		return st, nil
	}
	nodes, err := s.Store.Live(r.Context())
	if err != nil {
		st.Store.Error = err.Error()
		return st, nil
	}
	doubt, err := s.Store.Doubt(r.Context())
	if err != nil {
		st.Store.Error = err.Error()
		return st, nil
	}
	st.Users, st.Missing = counts, doubt.Missing
	st.Nodes, st.Roster = append(st.Nodes, nodes...), append(st.Roster, doubt.Roster...)
	if st.Store.OK = !doubt.Untrusted; doubt.Untrusted {
		st.Store.Error = state.ErrUntrusted.Error()
	}
	return st, nil
}

func (s *Server) healthy(*http.Request) (any, error) { return Health{OK: true}, nil }

func (s *Server) ready(r *http.Request) (any, error) {
	if err := s.Store.Ping(r.Context()); err != nil {
		return nil, fault{http.StatusServiceUnavailable, fmt.Sprintf("the store does not answer: %v", err)}
	}
	if err := s.Ready(); err != nil {
		return nil, fault{http.StatusServiceUnavailable, err.Error()}
	}
	return Health{OK: true}, nil
}
