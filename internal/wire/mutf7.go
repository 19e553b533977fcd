package wire

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// errUTF7 says that a name is not valid modified UTF-7.
var errUTF7 = errors.New("not valid modified UTF-7")

var b64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// DecodeName returns the UTF-8 form of a mailbox name in modified UTF-7 (RFC 3501, 5.1.3), for people and for
// interfaces beside IMAP. Names that are not valid give an error: servers hold such names, and they can be used only
// as they are.
func DecodeName(name string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c < 0x20 || c > 0x7e {
			return "", errUTF7
		}
		if c != '&' {
			out.WriteByte(c)
			continue
		}
		end := strings.IndexByte(name[i:], '-')
		if end < 0 {
			return "", errUTF7
		}
		part, err := decodeShifted(name[i+1 : i+end])
		if err != nil {
			return "", err
		}
		out.WriteString(part)
		i += end
	}
	if s := out.String(); EncodeName(s) == name {
		return s, nil
	}
	return "", errUTF7 // another spelling of a name is another name to the server
}

func decodeShifted(s string) (string, error) {
	if s == "" {
		return "&", nil
	}
	raw, err := b64.DecodeString(s)
	if err != nil || len(raw)%2 != 0 {
		return "", errUTF7
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	return string(utf16.Decode(units)), nil
}

// EncodeName returns name in modified UTF-7.
func EncodeName(name string) string {
	var out strings.Builder
	var units []uint16
	flush := func() {
		if len(units) == 0 {
			return
		}
		raw := make([]byte, 0, 2*len(units))
		for _, u := range units {
			raw = append(raw, byte(u>>8), byte(u))
		}
		out.WriteString("&" + b64.EncodeToString(raw) + "-")
		units = units[:0]
	}
	for _, r := range name {
		if r < 0x20 || r > 0x7e || r == utf8.RuneError {
			units = utf16.AppendRune(units, r)
			continue
		}
		flush()
		if r == '&' {
			out.WriteString("&-")
		} else {
			out.WriteRune(r)
		}
	}
	flush()
	return out.String()
}
