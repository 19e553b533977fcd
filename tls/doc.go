// Package tls holds the certificates that imapferry shows to its clients, and
// keeps them fresh while sessions stay connected.
//
//	         ┌─ files ───────── PEM chain and key, read again when they change
//	Config ──┼─ acme ────────── certmagic: ordered, stored, renewed
//	         └─ self-signed ─── made in memory at start
//	                 │
//	                 ▼
//	          Certificates ──► ServerConfig ──► listeners 993, 143 (STARTTLS)
//	                 └───────► Info ──────────► check, log
//
// A listener takes ServerConfig once. It asks for the certificate at each
// handshake, so a new certificate is served from the next handshake on and no
// connection is closed for it: a TLS session does not look at the certificate
// again once it is set up.
//
// # Who runs what
//
// New starts at most one goroutine of ours, Certificates.background: in mode
// files it compares the files with what is served, in mode acme it orders what
// is missing and has renewed what is due. Close ends and awaits it. certmagic
// adds a maintenance goroutine per cache (ended by Close), and jobs that end
// with the context. Two things of certmagic's outlast Close: what keeps a lock
// file fresh notices within seconds that the lock is gone, and its rate limiter
// per directory and account lives until the process ends.
//
// # What happens on failure
//
// Whatever goes wrong, the certificate that is being served goes on being
// served: a broken new file is reported and left alone, a renewal that fails
// is tried again with growing pauses. At start there is nothing to fall back
// on: files that cannot be used make New fail. With acme New succeeds without
// a certificate, because the CA may be out of reach for a while; handshakes
// fail until the first order is through, and Ready tells why it is not.
//
// # ALPN
//
// The server knows the protocol "imap" alone (RFC 7301, IANA registry). A
// client that offers it, or that offers no protocol at all, gets in; one that
// offers only others is refused, which is what protects against an HTTP
// request that was redirected here (ALPACA). "acme-tls/1" (RFC 8737) is
// answered on the challenge port alone: a CA never comes to 993.
package tls
