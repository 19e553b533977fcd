// Package imapmodel is a mail client that does anything IMAP allows, at random, and believes nothing: several sessions of
// one user work on the same folders at once, and each checks every response against the protocol's rules and against
// what it, and all sessions of the user together, know of the mail.
//
//	Fill ─► Account ◄── Run: n sessions, each   generate ─► commands ─► server
//	          │                                 check    ◄── responses ◄──┘
//	          └─► Verify: another reader compares the account, message by message
//
// It lives beside testbed and not in it: testbed starts servers and takes them as they are, while this knows what a
// server may say. It imports nothing of ours, not even the framing: a parser that were wrong would find nothing wrong.
//
// # What is known, and to whom
//
// A session's view is the open folder as the server has told it: messages by sequence number, their UIDs and flags. It
// changes by responses alone, so whatever order of events among several sessions is legal, the view follows it.
//
// The account is the ledger that all sessions of a user share: every copy of a message by folder and UID, with what was
// acknowledged (APPENDUID, COPYUID), what somebody has asked to be removed, and floors below which UIDNEXT and
// HIGHESTMODSEQ may not fall. A number or a message that was acknowledged before a command was sent must show in the
// answer to it; what overlaps is not judged. The content of a message follows from its identifier, so every byte that
// a server says can be checked at once, whoever wrote it.
//
// Flags of one message are written by many, so only a part has a known value: in a session's own folders all of
// them, in shared folders one keyword that no other session touches. Both must be told as this session left them. All
// others are compared when everybody is quiet: what the server has told last must be what it holds.
//
// # What is legal to send
//
// Commands are pipelined by the rules of RFC 9051, 5.5: sequence numbers are never sent while a command is in flight
// during which messages may be expunged. Shared folders stay; each session makes, renames and deletes its own.
//
// # Seeds
//
// The n-th step of a session depends on seed, session and n, and on the view it has then. So the kinds of commands
// repeat exactly, and what they work on as far as the order among sessions does.
//
// # Failure
//
// A session ends at its first violation, with the last lines of the wire; what follows would only repeat it. BYE
// [UNAVAILABLE] is no violation: it is counted by its text, what was in flight may have happened or not, and the session
// logs in again.
package imapmodel
