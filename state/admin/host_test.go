package admin_test

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// A page on rebound.example, whose name then resolved to 127.0.0.1, could list all users and set moves off: to the
// browser it was of one origin with the API.
func TestHost(t *testing.T) {
	f := newFixture(t)
	f.server.Host = "Ferry.Example"
	for host, want := range map[string]int{
		"127.0.0.1:9143": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:9143": http.StatusOK, "[::1]": http.StatusOK, "192.0.2.7:80": http.StatusOK,
		"localhost:9143": http.StatusOK, "LOCALHOST.": http.StatusOK, "ferry.example:9143": http.StatusOK, "": http.StatusOK,
		"rebound.example:9143": http.StatusForbidden, "rebound.example": http.StatusForbidden, "127.0.0.1.rebound.example": http.StatusForbidden,
		"localhost.rebound.example": http.StatusForbidden, "imapferry": http.StatusForbidden,
	} {
		code, answer := f.do("GET", "/v1/users", func(r *http.Request) { r.Host = host })
		if code != want {
			t.Errorf("Host %q: status %d, %v; want %d", host, code, answer, want)
		}
	}
	f.server.Host = ""
	code, _ := f.do("POST", "/v1/users/alice/migrate", func(r *http.Request) { r.Host = "rebound.example" })
	if code != http.StatusForbidden || len(f.notified) > 0 {
		t.Errorf("migrate for a page: status %d, notified %v", code, f.notified)
	}
	code, _ = f.do("GET", "/v1/users", func(r *http.Request) {
		r.Host = "imapferry"
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/x", Net: "unix"})))
	})
	if code != http.StatusOK {
		t.Errorf("over a unix socket: status %d", code)
	}
}
