// Package admin is what operators see and do, as an HTTP API of JSON, and the client that the command line uses for it.
//
//	GET  /v1/status                version, store, users by phase, nodes
//	GET  /v1/users                 a page of users; ?phase= &after= &limit=
//	GET  /v1/users/NAME            one user
//	POST /v1/users/NAME/migrate    make the user known, so that a worker begins
//	POST /v1/users/NAME/retry      out of held, or the next try or straggler pass now; ?park=true: mail of unknown origin in the target is moved aside
//	POST /v1/users/NAME/cutover    switch as soon as the user is ready, whatever the cutover policy says
//	POST /v1/users/NAME/finalize   end all work on a migrated user; ?force=true: even if mail may be left in the source
//	GET  /v1/users/NAME/exceptions a page of what could not be carried over as it was; ?after=
//	POST /v1/nodes/NAME/forget     a node is gone for good, and its journal is not waited for any more
//	POST /v1/users/NAME/verify     compare source and target; {"bodies": "all", "from": "FOLDER"}; answers a stream
//	GET  /healthz                  the process answers
//	GET  /readyz                   the store answers, too
//
// The package works on a state.Store alone, so any node answers for all users; only the live sessions of a user are
// this node's. Names are made canonical first, as at a login. Every answer but that of verify is one JSON object, and
// an error is {"error": "…"} with the status that says whose fault it is: 400, 404, 405 and 409 the caller's, 503 the
// store's or, of a verification, the mail servers'.
//
// A verification may take hours, so it answers lines, each one JSON object, as there is something to tell. What they
// say is the verifier's business; only an {"error": "…"}, with which a stream may end, is the server's. It ends when
// the client goes away.
//
// # Who may ask
//
// Whoever reaches the listener commands imapferry: there is no password. So it belongs on 127.0.0.1 or on a socket
// that its owner alone may open. Browsers on the same machine reach 127.0.0.1 too, on behalf of any page; requests
// from pages of another origin are refused, and those that ask for the host by a name that is not its own: a page can
// have its name resolved to 127.0.0.1.
//
// Nothing secret is in a record, so nothing secret can be answered (I8).
package admin
