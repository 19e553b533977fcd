package imapmodel

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// idHeader names the field that tells a letter's identifier.
const idHeader = "X-Model-Id"

var words = strings.Fields(`harbour ferry tide rope deck anchor quay lantern chart bell gull mast rudder cabin crew cargo
	island channel current fog wake buoy letter parcel stamp answer question meeting invoice report summer winter`)

// letter is a message; all of it follows from its identifier.
type letter string

func (l letter) rng() *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(l))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// date is the INTERNALDATE.
func (l letter) date() time.Time {
	return time.Unix(1262304000+l.rng().Int64N(14*365*86400), 0).UTC()
}

func (l letter) header() string {
	return fmt.Sprintf("From: Model <model@model.example>\r\nTo: reader@model.example\r\nSubject: %[1]s\r\n"+
		"Message-ID: <%[1]s@model.example>\r\nDate: Tue, 02 Mar 2021 10:00:00 +0000\r\n"+idHeader+": %[1]s\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", string(l))
}

// text is mostly short, and long enough for several records of TLS now and then.
func (l letter) text() string {
	rng := l.rng()
	size := 50 + rng.IntN(1500)
	if rng.IntN(40) == 0 {
		size = 20_000 + rng.IntN(60_000)
	}
	var b strings.Builder
	for b.Len() < size {
		for range 4 + rng.IntN(8) {
			b.WriteString(words[rng.IntN(len(words))] + " ")
		}
		fmt.Fprintf(&b, "%d\r\n", rng.IntN(1e6))
	}
	return b.String()
}

func (l letter) body() string { return l.header() + l.text() }

// letterIn finds the identifier in a header, a body or a part of them.
func letterIn(text string) letter {
	_, after, ok := strings.Cut(text, idHeader+": ")
	id, _, end := strings.Cut(after, "\r\n")
	if !ok || !end {
		return ""
	}
	return letter(id)
}

const dateLayout = "_2-Jan-2006 15:04:05 -0700"
