package proxy

import "strings"

// watched is a command whose words are looked at while it passes. It belongs to toBackend.
type watched struct {
	name    string
	scanner scanner

	bans   bool                // words that ask for mod-sequences are refused
	resync *resync             // what it asks of gaps; nil if that is of no interest
	urls   func([]byte) []byte // translates those in a line; nil if it may not have any

	words     int    // of tag and name, yet to come
	items     int    // behind these, but for lists
	arguments int    // of a search key, yet to come
	last      word   // the one before
	hasURLs   bool   // URLs may follow
	refused   string // why it is refused
}

// watch returns nil for a command whose words are of no interest.
func (r *relay) watch(c *inFlight) *watched {
	if r.views == nil && !r.cfg.NoModSeq {
		return nil
	}
	o := &watched{name: c.name, words: 1 + strings.Count(c.name, " ") + 1}
	o.bans = r.cfg.NoModSeq && mayUseModSeq[c.name]
	if r.views != nil && r.views.gaps && asksOfGaps(c.name) {
		o.resync = &resync{}
	}
	if r.views != nil && mayHaveURLs(c.name) {
		o.urls = r.urlsToBackend
	}
	if !o.bans && o.resync == nil && o.urls == nil {
		return nil
	}
	o.scanner = scanner{each: o.word}
	return o
}

func (o *watched) word(w word) {
	if o.words > 0 {
		o.words--
		o.scanner.sections = o.words == 0 && isFetch(o.name) // a tag may have a bracket of its own
		o.hasURLs = o.words == 0 && o.name == "URLFETCH"
		return
	}
	switch {
	case o.refused != "":
	case o.bans && o.isModSeqWord(w):
		o.refused = "BAD " + strings.ToUpper(w.text) + " is not available here"
	case o.urls != nil:
		o.refused = o.urlWord(w)
	}
	if o.resync != nil {
		o.resync.word(o, w)
	}
	if w.depth == 0 && w.kind < opens {
		o.items++
	}
	o.last = w
}

// line takes a part of a command and returns what is sent on in its place, or why the command is refused.
func (o *watched) line(part []byte, eol bool) (out []byte, refused string) {
	if o == nil {
		return part, ""
	}
	o.scanner.line(part, eol)
	if o.hasURLs && o.refused == "" {
		if !eol {
			o.refused = "BAD line too long"
		}
		part = o.urls(part)
	}
	return part, o.refused
}

// examine looks at the first part of a command: c may get a reply, and part may become another one.
func (r *relay) examine(c *inFlight, part []byte, eol bool) []byte {
	switch {
	case c.reply != "":
		return part
	case r.cfg.NoModSeq && c.name == "ENABLE":
		part, c.reply = withoutModSeq(c, part, eol)
		return part
	case r.cfg.NoModSeq && c.name == "GENURLAUTH":
		c.reply = c.tag + " BAD GENURLAUTH is not available here"
		return part
	}
	c.watch = r.watch(c)
	part, refused := c.watch.line(part, eol)
	if refused != "" {
		c.reply = c.tag + " " + refused
	}
	return part
}

// spoil turns a command that was partly sent and must not take effect into one that no server takes, and puts our
// answer in the place of the backend's. part is what is left of the client's.
func (r *relay) spoil(c *inFlight, answer string, part []byte, eol bool) error {
	r.mu.Lock()
	if !c.over {
		c.reply = c.tag + " " + answer
	}
	if c.forgave { // and does not make the client count anew after all
		r.endNow(endedByUs, expunged)
	}
	r.mu.Unlock()
	if err := r.up.write([]byte(" (\r\n")); err != nil {
		return err
	}
	return r.drop(part, eol)
}
