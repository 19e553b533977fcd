// Package backend is how imapferry reaches and enters a mail server, the source or the target: dial, PROXY
// header, TLS, greeting, STARTTLS, ID, login. The proxy uses it for a session's backend connection and the
// engine for a worker's, so that both enter a server in one way.
//
//	dial ─► [PROXY header] ─► [TLS] ─► greeting ─► [STARTTLS] ─► capabilities ─► [ID] ─► login ─► Conn
//
// A Conn is handed on with its wire.Reader: bytes that the server sent behind its login reply are in there. Every
// step ends by the deadline of its context or by its own bound.
//
// # Login
//
// The user's own secret proves who the client is: LoginOwn. The method of the config is how a user is entered when
// that has been proven already, or by a worker: passthrough (the own secret again), master (SASL PLAIN with
// authorization identity, RFC 4616), master-suffix (user*master) or shared (one password for all). A refusal is a
// *Refused with the server's own words; every other error means that the server could not be asked.
//
// # Secrets
//
// A Secret prints as "redacted" whatever prints it (I8).
package backend
