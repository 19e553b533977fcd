// Package proxy is one client session from accept to close, and the node that all sessions of a process make together.
//
//	accept ─► [PROXY header] ─► [TLS] ─► greeting ─► dialogue ─► login ─► relay ─► close
//	                                                    │           ▲        ▲ │
//	            CAPABILITY, ID, NOOP, STARTTLS, LOGOUT ◄┘           │        │ └─► doze, wake; halt, move to the target
//	                                                                │ seat ─► record ─► route ─► prove ─► enter ─► attach
//
// # A session
//
// Until the login the dialogue is ours (RFC 9051, 6.1 and 6.2): one loop reads whole commands, handlers obey them,
// and the loop alone answers. Bytes that were read ahead stay in the session's wire.Reader, which the relay takes
// over, so a command pipelined behind LOGIN is not lost; those read ahead of a TLS handshake are dropped, because
// somebody else may have put them there.
//
// The login goes with the user's own secret to the backend that the record names, and that connection is the
// session's; with Prove set to a server, that one is asked first and the session enters its backend by the configured
// method. Nobody is ever let in without one login with the own secret. What a server says when it refuses goes on to
// the client in its own words; a server or a store that cannot be asked is NO [UNAVAILABLE], which no client takes
// for a wrong password.
//
// # Routes and holds
//
// A session takes a seat under its user before it reads the user's record. A cutover that begins after that finds the
// seat, one that began before is seen in the record, so none falls between (I3). A record that was read before a hold
// is not believed after it: attach refuses, and the login is routed again. Only the source's sessions are held; who
// is on the target stays there, since no phase leads back.
//
// # The move
//
// A cutover that is called off has cost a held session nothing but time. After the switch each of the user's sessions moves,
// on its own, as soon as it stands between two commands and two responses:
//
//	both pumps halt ─► source: [DONE] NOOP, FETCH 1:* (UID FLAGS)   ─┐ compare ─► tell the client ─► pumps go on at the target
//	                   target: login, ENABLE, SELECT, FETCH          ─┘
//
// The source tells what the client knows (view), the target what there is; the client hears the difference as if it had
// happened in its mailbox. New mail and changed flags it may hear at any time, removals only inside certain commands:
// they are owed until then, and a command by sequence numbers that comes first ends the session, because it would hit
// other messages. The view is taken after the switch and not under the hold: then the hold need not wait for it, and
// nothing that was kept back has to be made up for when the cutover is called off. The source is only read for it.
//
// Commands that only read do not delay the switch. They end at the source, which may be minutes later, and the session
// moves then; a source that says nothing meanwhile is given a minute (patience). What it was promised as capabilities it
// keeps. Whatever cannot be proven or told ends the session with BYE between two responses, counted by reason (the
// constants beside move).
//
// # What the target does not tell
//
// A translated user's client hears the source's UIDVALIDITY wherever the target says its own, and the target hears its own
// where the client says the source's (translator). Mod-sequences cannot be translated; they are kept from such clients on
// both servers, so that a session which moves into this state has nothing to forget (Config.Fidelity, relayConfig.NoModSeq).
// An exact user's client hears of UIDs in gaps that nobody filled (resync). Only commands that may matter are looked
// at: their words are taken apart while they pass (watched), and one whose word is found too late, behind a literal, is
// spoilt, so that the backend refuses it.
//
// # Idle sessions
//
// A session without a byte for two seconds dozes: its pumps end, its buffers go back, and one epoll instance watches
// its two sockets (dozer, poller). A hold finds it quiet, and a move begins without waking it.
//
// # Hints for the worker
//
// What the relays of a user's sessions on the source have seen change, and which UIDs the source has told clients are
// stored, goes to the worker with the acknowledgement (witness, touches). Nothing of it comes after.
//
// # Who owns what
//
// A session is owned by its goroutine up to the login. Then the relay owns both connections; it has two goroutines, or one
// while it moves, or none while it dozes. Locks are taken in the order users, relay, poller.
// Node.run is one goroutine that beats and reads the inbox, beside one for each hold under way; users is the only
// state that sessions and the node share, behind one mutex that is never held while waiting.
//
// # Failure
//
// A store that may have lost writes, since it was started or failed over, is no news to those who are served: all nodes get ready to
// post their journals, and when all are, each holds its sessions on the source, posts, and goes on when records count, which takes
// moments (heal.go). Logins wait for it. As long as a node is away nothing is held, and those logins are refused that would go by a
// record; the log and the status name the node. Switches that were learned before are not acted on after (trust.within).
//
// A lost store stops at once the logins of all whom this node's journal does not know at the target and, before this node's
// life in the store ends, the traffic to the source (see Node). A hold ends only by reading that the attempt is over; when nothing can be read for too long, its
// sessions end with BYE, and nobody guesses (I5). Shutdown ends sessions between two responses, with a bound.
package proxy
