package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// oneOfOurs lets only requests through that ask for this host by an address, as localhost or as the name in
// Options.Host. A page whose name its owner turns to 127.0.0.1 after it has been loaded (DNS rebinding) is of the
// same origin for the browser; what still tells it is its name in the Host header. A unix socket is reached by no
// browser, and a request without Host comes from none.
func (s *Server) oneOfOurs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" || s.knows(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		s.answering(strangeHost).ServeHTTP(w, r)
	})
}

func (s *Server) knows(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, 6.3: never anywhere else
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return s.Host != "" && host == strings.ToLower(strings.TrimSuffix(s.Host, "."))
}

func strangeHost(*http.Request) (any, error) {
	return nil, fault{http.StatusForbidden, "ask by address, as localhost, or by the host in listen.admin; another name in Host may be a page's"}
}
