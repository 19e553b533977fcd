package testbed

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Mail is a message as APPEND takes it.
type Mail struct {
	Flags string // space separated, no parentheses
	Date  string // date-time of RFC 3501; empty: the server's clock
	Body  string
}

// writer makes up mail. All it makes depends on user and seed: two accounts
// must never look like the same mailbox, not even by dates and sizes.
type writer struct {
	rng    *rand.Rand
	user   string
	serial int
}

func newWriter(seed uint64, user string) *writer {
	h := fnv.New64a()
	_, _ = h.Write([]byte(user))
	return &writer{rng: rand.New(rand.NewPCG(seed, h.Sum64())), user: user}
}

var words = strings.Fields(`harbour ferry tide rope deck anchor quay lantern chart
	bell gull mast rudder cabin crew cargo island channel current fog wake buoy
	letter parcel stamp answer question meeting invoice report summer winter`)

// mail writes a text message of about size bytes.
func (w *writer) mail(size int) Mail {
	m := Mail{Date: w.date(), Flags: w.flags()}
	var b strings.Builder
	b.WriteString(w.header("text/plain; charset=utf-8"))
	for b.Len() < size {
		b.WriteString(w.line())
	}
	m.Body = b.String()
	return m
}

func (w *writer) header(contentType string) string {
	w.serial++
	return fmt.Sprintf("From: %s <%s@sender.example>\r\nTo: %s@example.org\r\nSubject: %s %s %d\r\n"+
		"Date: Tue, %02d Mar 2021 %02d:%02d:%02d +0100\r\nMessage-ID: <%016x.%d@sender.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n",
		w.word(), w.word(), local(w.user), w.word(), w.word(), w.serial,
		2+7*w.rng.IntN(4), w.rng.IntN(24), w.rng.IntN(60), w.rng.IntN(60), w.rng.Uint64(), w.serial, contentType)
}

func local(user string) string {
	name, _, _ := strings.Cut(user, "@")
	return name
}

func (w *writer) word() string { return words[w.rng.IntN(len(words))] }

func (w *writer) line() string {
	var b strings.Builder
	for range 4 + w.rng.IntN(8) {
		b.WriteString(w.word())
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "%d\r\n", w.rng.IntN(1e6))
	return b.String()
}

// date lies between 2005 and 2025, in one of several zones.
func (w *writer) date() string {
	zones := []int{0, 0, 3600, -5 * 3600, 19800, 20700}
	at := time.Unix(1104537600+w.rng.Int64N(20*365*86400), 0)
	return at.In(time.FixedZone("", zones[w.rng.IntN(len(zones))])).Format(dateLayout)
}

func (w *writer) flags() string {
	var set []string
	for _, f := range []struct {
		name  string
		share float64
	}{{`\Seen`, 0.8}, {`\Answered`, 0.15}, {`\Flagged`, 0.05}, {`$Forwarded`, 0.04}, {`NonJunk`, 0.1}} {
		if w.rng.Float64() < f.share {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, " ")
}

// size is drawn from a log-normal distribution around the median, as sizes of
// mail are; the mean is then 3.6 times the median. It is cut at 5 MB.
func (w *writer) size(median int) int {
	const sigma, largest = 1.6, 5 << 20
	return int(min(float64(median)*math.Exp(sigma*w.rng.NormFloat64()), largest))
}

// attachment writes a message that carries size bytes as base64.
func (w *writer) attachment(size int) Mail {
	raw := make([]byte, size)
	for i := 0; i+8 <= len(raw); i += 8 {
		for j, n := 0, w.rng.Uint64(); j < 8; j, n = j+1, n>>8 {
			raw[i+j] = byte(n)
		}
	}
	var b strings.Builder
	b.WriteString(w.header("multipart/mixed; boundary=cut"))
	b.WriteString("--cut\r\nContent-Type: text/plain\r\n\r\n" + w.line() +
		"--cut\r\nContent-Type: application/octet-stream; name=chart.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for code := base64.StdEncoding.EncodeToString(raw); code != ""; {
		n := min(76, len(code))
		b.WriteString(code[:n] + "\r\n")
		code = code[n:]
	}
	b.WriteString("--cut--\r\n")
	return Mail{Flags: w.flags(), Date: w.date(), Body: b.String()}
}
