package proxy

import (
	"bytes"
	cryptotls "crypto/tls"
	"net"
	"reflect"
	"unsafe"
)

// trim drops the buffers that crypto/tls keeps for reading, if they are empty. After a client has sent records of full
// size they hold some 33 KB for as long as the connection lives, and no public API frees them: that is three times
// what all else of an idle session costs. The caller alone uses conn; crypto/tls makes new buffers when it needs them.
//
// This reaches into the standard library. Where its fields are not what they are known to be, nothing is done, and a
// test says so.
func trim(conn net.Conn) {
	tc, ok := conn.(*cryptotls.Conn)
	if !ok || !trimmable {
		return
	}
	base := unsafe.Pointer(tc)
	raw := (*bytes.Buffer)(unsafe.Add(base, rawInput.Offset))
	plain := (*bytes.Reader)(unsafe.Add(base, input.Offset))
	if raw.Len() == 0 && plain.Len() == 0 { // the latter reads from the former's memory
		*raw, *plain = bytes.Buffer{}, bytes.Reader{}
	}
	if shakes := (*bytes.Buffer)(unsafe.Add(base, hand.Offset)); shakes.Len() == 0 {
		*shakes = bytes.Buffer{}
	}
}

// The fields of crypto/tls.Conn: what has come from the network, what of it is decrypted and not yet read, and what of
// that belongs to a handshake: it is as large as the client's first message.
var (
	rawInput, hasRaw = tlsField[bytes.Buffer]("rawInput")
	input, hasInput  = tlsField[bytes.Reader]("input")
	hand, hasHand    = tlsField[bytes.Buffer]("hand")
	trimmable        = hasRaw && hasInput && hasHand
)

func tlsField[T any](name string) (reflect.StructField, bool) {
	f, ok := reflect.TypeFor[cryptotls.Conn]().FieldByName(name)
	return f, ok && f.Type == reflect.TypeFor[T]()
}
