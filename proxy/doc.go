// Package proxy is one client session from accept to close, and the node that all sessions of a process make together.
//
//	accept ─► [PROXY header] ─► [TLS] ─► greeting ─► dialogue ─► login ─► relay ─► close
//	                                                    │           ▲
//	            CAPABILITY, ID, NOOP, STARTTLS, LOGOUT ◄┘           │ seat ─► record ─► route ─► prove ─► enter ─► attach
//
// # A session
//
// Until the login the dialogue is ours (RFC 9051, 6.1 and 6.2): one loop reads whole commands, handlers obey them, and the loop alone answers. Bytes that
// were read ahead stay in the session's wire.Reader, which the relay takes over, so a command pipelined behind LOGIN is not lost; those read
// ahead of a TLS handshake are dropped, because somebody else may have put them there.
//
// The login goes with the user's own secret to the backend that the record names, and that connection is the session's; with Prove set to a
// server, that one is asked first and the session enters its backend by the configured method. Nobody is ever let in without one login with
// the own secret. What a server says when it refuses goes on to the client in its own words; a server or a store that cannot be asked is
// NO [UNAVAILABLE], which no client takes for a wrong password.
//
// # Routes and holds
//
// A session takes a seat under its user before it reads the user's record. A cutover that begins after that finds the seat, one that began before is seen
// in the record, so none falls between (I3). A record that was read before a hold is not believed after it: attach refuses, and the login is routed again.
// Only the source's sessions are held; who is on the target stays there, since no phase leads back.
//
// # Who owns what
//
// A session is owned by its goroutine, which Server.Run waits for. The relay owns both connections once it runs. Node.run is one goroutine that beats and reads the inbox,
// beside one for each hold under way; users is the only state that sessions and the node share, behind one mutex that is never held while waiting.
//
// # Failure
//
// A lost store stops new logins at once and, before this node's life in the store ends, the traffic to the source (see Node). A hold ends only by reading that the
// attempt is over; when nothing can be read for too long, its sessions end with BYE, and nobody guesses (I5). Shutdown ends sessions between two
// responses, with a bound.
package proxy
