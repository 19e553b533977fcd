// Package wire is the framing of IMAP (RFC 9051, RFC 3501) and the few pieces of its grammar that both
// the proxy and the engine need. It knows lines, literals, atoms, strings, flags, UID sets and mailbox
// names; it knows no command, no server and no connection.
//
//	bytes ──► Reader ──► lines and literals ──► Decoder ──► atoms, strings, lists
//
// A Reader belongs to one goroutine. It never reads past what was asked for without keeping it: whoever
// hands a connection on hands on the Reader, so no byte is lost between two readers. Every read has a
// bound; a line over its bound is ErrLineTooLong, and the connection cannot be used for more, because
// nobody can tell any longer where the next command or response begins.
//
// Names, flags and bodies stay the bytes that were on the wire. Servers hold mailbox names that are not
// valid modified UTF-7 and flags that are not valid atoms, and only the raw form can be sent back.
package wire
