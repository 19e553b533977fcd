package proxy

import (
	"bytes"
	"strings"

	"imapferry/internal/wire"
)

// esearchOf judges an ESEARCH response. Only one of several mailboxes names its own (RFC 7377), which nobody is promised;
// all others pass.
func (r *relay) esearchOf(part []byte, eol bool) judgement {
	if r.views == nil || !mentions(wire.Upper(part[:min(len(part), 2*maxTag)]), "MAILBOX") {
		return judgement{literals: true}
	}
	if _, _, literal := wire.ParseLiteral(part); literal && eol {
		return judgement{whole: r.views.esearch}
	}
	return judgement{literals: true, instead: r.views.esearch(part)} // what was found may be long
}

// esearch rewrites a whole ESEARCH response, or the beginning of one: "* ESEARCH (TAG "a" MAILBOX b UIDVALIDITY 7) …"
// (RFC 7377, 2.1).
func (v *translator) esearch(resp []byte) []byte {
	var mailbox string
	d := correlator(resp, func(d *wire.Decoder, name string) bool {
		if name == "MAILBOX" {
			mailbox = d.AString()
		} else {
			d.Skip()
		}
		return true
	})
	if mailbox == "" || d.Err() != nil {
		return resp
	}
	behind := -1
	correlator(resp, func(d *wire.Decoder, name string) bool {
		if name == "UIDVALIDITY" {
			behind = len(d.Rest())
			return false
		}
		d.Skip()
		return true
	})
	const before = "UIDVALIDITY "
	for _, end := range []int{len(wire.TrimEOL(resp)), firstMarker(resp)} { // the line is the last one, or that of a literal behind it
		at := end - behind
		if behind < 0 || at < len(before) || !wire.EqualFold(string(resp[at-len(before):at]), before) {
			continue
		}
		if out, _, ok := v.rewrite(resp, at, mailbox); ok {
			return out
		}
	}
	return resp
}

// firstMarker returns where the marker of a literal ends the first line, or 0.
func firstMarker(resp []byte) int {
	if _, start, ok := wire.ParseLiteral(resp[:bytes.IndexByte(resp, '\n')+1]); ok {
		return start
	}
	return 0
}

// correlator reads what an ESEARCH response says of the command: each is called with the decoder before a value, until it
// returns false.
func correlator(resp []byte, each func(d *wire.Decoder, name string) bool) *wire.Decoder {
	whole := append(resp[:len(resp)-lineEnd(resp):len(resp)-lineEnd(resp)], "\r\n"...)
	limits := wire.Limits{Line: 2 * maxGather, Literal: maxGather, Total: 4 * maxGather}
	d := wire.NewDecoder(wire.NewReader(bytes.NewReader(whole), len(whole)+1), limits)
	if d.Next() != nil {
		return d
	}
	d.Atom()
	d.SP()
	d.Atom()
	d.SP()
	if !d.Accept('(') {
		return d
	}
	for d.Err() == nil && !d.Accept(')') {
		name := strings.ToUpper(d.Atom())
		d.SP()
		if !each(d, name) {
			break
		}
		d.Accept(' ')
	}
	return d
}
