package migrate

import (
	"fmt"
	"strings"

	"imapferry/internal/wire"
)

// quota is what a server allows the user and what of that is taken (RFC 9208); limits are 0 if there are none. The strictest of
// several roots counts.
type quota struct {
	storage, messages resource
}

type resource struct{ used, limit int64 }

// left returns how much may be added.
func (r resource) left() int64 { return r.limit - r.used }

// take keeps the resource that has less left.
func (r *resource) take(other resource) {
	if other.limit > 0 && (r.limit == 0 || other.left() < r.left()) {
		*r = other
	}
}

// quota asks for the limits on INBOX, which hold for the account as a rule.
func (c *client) quota() (q quota, err error) {
	if !c.caps.Has("QUOTA") {
		return q, nil
	}
	_, err = c.do(func(r response) error {
		if r.word != "QUOTA" {
			return nil
		}
		r.d.AString()         // the root
		if !r.d.Accept(' ') { // Courier, for one without limits
			return nil
		}
		r.d.List(func() {
			what := strings.ToUpper(r.d.Atom())
			r.d.SP()
			used := int64(r.d.Number() & (1<<52 - 1))
			r.d.SP()
			limit := int64(r.d.Number() & (1<<52 - 1))
			switch what {
			case "STORAGE":
				q.storage.take(resource{used << 10, limit << 10})
			case "MESSAGE":
				q.messages.take(resource{used, limit})
			}
		})
		return nil
	}, "GETQUOTAROOT", name(wire.Inbox))
	if _, err = refusedWords(err); err != nil {
		return q, fmt.Errorf("ask %s for quota: %w", c.side, err)
	}
	return q, nil
}

// checkQuota holds a user who has more at the source than the target would take, before anything is written. What the
// target holds already is ours, from an earlier try.
func (w *worker) checkQuota(l *lane, dst *account) error {
	q, err := l.dst.quota()
	if err != nil || q == (quota{}) {
		return err
	}
	src, err := l.src.survey()
	if err != nil {
		return err
	}
	if err := fits("messages", "%d", src.messages()-dst.messages(), q.messages); err != nil || q.storage.limit == 0 {
		return err
	}
	need, err := l.src.size(src)
	if err != nil {
		return err
	}
	ours, err := l.dst.size(dst)
	if err != nil {
		return err
	}
	return fits("storage", "%d bytes", need-ours, q.storage)
}

func fits(what, figure string, need int64, r resource) error {
	if r.limit == 0 || need <= r.left() {
		return nil
	}
	return holdf("the target's quota is too small: %s to copy: "+figure+", %s left: "+figure+" of "+figure+"; raise it at the target, then retry", what, need, what, max(r.left(), 0), r.limit)
}

// size sums up the sizes of all messages of the account.
func (c *client) size(a *account) (sum int64, err error) {
	if !c.caps.Has("STATUS=SIZE") {
		return c.listSizes(a)
	}
	on := func(r response) error {
		if r.word != "STATUS" {
			return nil
		}
		r.d.AString()
		r.d.SP()
		r.d.List(func() {
			if r.d.Atom() == "SIZE" && r.d.SP() {
				sum += int64(r.d.Number() & (1<<52 - 1))
			}
		})
		return nil
	}
	ask := func(n string) []any { return []any{"STATUS", name(n), "(SIZE)"} }
	err = c.askEach(a.names(), ask, on, func(n string, _ result, err error) error {
		if _, err = refusedWords(err); err != nil { // a folder that has just been deleted has no size
			return fmt.Errorf("size of %s in %s: %w", wire.Quoted(n), c.side, err)
		}
		return nil
	})
	return sum, err
}

// listSizes adds up message by message, where a server can do no better.
func (c *client) listSizes(a *account) (sum int64, err error) {
	for _, n := range a.names() {
		if a.mailboxes[n].status.messages == 0 {
			continue
		}
		if _, err := c.openFolder(n, false); err != nil {
			return 0, err
		}
		_, err := c.do(func(r response) error {
			if r.word != "FETCH" {
				return nil
			}
			var m message
			err := parseFetch(r.d, &m, nil)
			sum += m.size
			return err
		}, "UID FETCH", "1:*", "(RFC822.SIZE)")
		if err != nil {
			return 0, fmt.Errorf("sizes in %s of %s: %w", wire.Quoted(n), c.side, err)
		}
		if err := c.closeFolder(); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
