package admin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"imapferry/state"
)

// patience bounds a request, reading and answering included; of a stream, each line.
const patience = 10 * time.Second

// Options is what a Server works with. Only Store is required.
type Options struct {
	Store     state.Store
	Version   string
	Host      string                                                 // name of the listener's host, if it was given as a name
	Canonical func(ctx context.Context, name string) (string, error) // the name as records know it; an ErrInvalid is the caller's fault. nil: as it is
	Sessions  func(user string) int                                  // live sessions of user on this node; nil: none
	Notify    func(user string)                                      // called after migrate, retry, cutover and finalize, so that a worker looks at once; must not block
	Ready     func() error                                           // why this node does not serve yet; nil: it does
	Verify    Verifier                                               // nil: this node cannot verify
	Log       *slog.Logger                                           // nil is slog.Default
}

// Server answers the API. It is an http.Handler; whoever serves it bounds the header.
type Server struct {
	Options
	handler   http.Handler
	verifying chan struct{} // a place for each verification under way
}

// NewServer returns a server over opts.Store.
func NewServer(opts Options) *Server {
	if opts.Canonical == nil {
		opts.Canonical = func(_ context.Context, name string) (string, error) { return name, nil }
	}
	if opts.Sessions == nil {
		opts.Sessions = func(string) int { return 0 }
	}
	if opts.Notify == nil {
		opts.Notify = func(string) {}
	}
	if opts.Ready == nil {
		opts.Ready = func() error { return nil }
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	s := &Server{Options: opts, verifying: make(chan struct{}, maxVerifying)}
	mux := http.NewServeMux()
	mux.Handle("/v1/status", s.only(http.MethodGet, s.status))
	mux.Handle("/v1/users", s.only(http.MethodGet, s.users))
	mux.Handle("/v1/users/{name}", s.only(http.MethodGet, s.user))
	mux.Handle("/v1/users/{name}/migrate", s.only(http.MethodPost, s.migrate))
	mux.Handle("/v1/users/{name}/retry", s.only(http.MethodPost, s.retry))
	mux.Handle("/v1/users/{name}/cutover", s.only(http.MethodPost, s.cutover))
	mux.Handle("/v1/users/{name}/finalize", s.only(http.MethodPost, s.finalize))
	mux.Handle("/v1/users/{name}/exceptions", s.only(http.MethodGet, s.exceptions))
	mux.HandleFunc("/v1/users/{name}/verify", s.verify)
	mux.Handle("/v1/nodes/{name}/forget", s.only(http.MethodPost, s.forget))
	mux.Handle("/healthz", s.only(http.MethodGet, s.healthy))
	mux.Handle("/readyz", s.only(http.MethodGet, s.ready))
	mux.Handle("/", s.answering(noSuchPath))

	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(s.answering(crossOrigin))
	s.handler = s.oneOfOurs(origin.Handler(mux))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// bound bounds the reading of a request and the answering of it.
func bound(w http.ResponseWriter) {
	deadline := time.Now().Add(patience)
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(deadline) // not every writer has deadlines; a real connection has
	_ = c.SetWriteDeadline(deadline.Add(patience))
}
