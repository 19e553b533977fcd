package admin

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"imapferry/state"
)

// Exceptions is some of what could not be carried over of a user, in order of folder, UID and class.
type Exceptions struct {
	User       string            `json:"user"`
	Counts     map[string]int64  `json:"counts"` // by class; of more than state.MaxExceptions not all are listed
	Exceptions []state.Exception `json:"exceptions"`
	Next       string            `json:"next"` // what to give as after for the following page; "" if there is none
}

func (s *Server) exceptions(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("after"))
	if err != nil {
		return nil, badRequest("after: must be what next was in the page before")
	}
	page := Exceptions{User: name}
	if page.Counts, err = s.Store.CountExceptions(r.Context(), name); err != nil {
		return nil, err
	}
	if page.Exceptions, err = s.Store.Exceptions(r.Context(), name, string(after), pageMost); err != nil {
		return nil, err
	}
	if n := len(page.Exceptions); n == pageMost {
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(page.Exceptions[n-1].Key()))
	}
	return page, nil
}

// Exceptions returns a page of what could not be carried over of a user; after is Next of the page before, or "".
func (c *Client) Exceptions(ctx context.Context, name, after string) (Exceptions, error) {
	return ask[Exceptions](ctx, c, http.MethodGet, userPath(name, "/exceptions?after="+url.QueryEscape(after)))
}
