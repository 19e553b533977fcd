package proxy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// entered is the target as a session finds it.
type entered struct {
	conn *backend.Conn // nil if it was not reached
	cfg  relayConfig
	c    *caller
	at   *view // of the mailbox that is selected
	err  error
}

// enterTarget logs in and makes the target stand where the source stood.
func (r *relay) enterTarget(ctx context.Context, user switchInfo, p place, done chan<- entered) {
	var in entered
	in.conn, in.cfg, in.err = r.cfg.Target(ctx, user)
	if in.err == nil {
		deadline, _ := ctx.Deadline()
		_ = in.conn.SetDeadline(deadline)
		stop := context.AfterFunc(ctx, in.hurry)
		in.c = &caller{conn: in.conn.Conn, d: wire.NewDecoder(in.conn.R, callLimits)}
		in.at, in.err = in.stand(&p)
		stop()
	}
	done <- in
}

// hurry ends the waiting for the target.
func (in *entered) hurry() { _ = in.conn.SetDeadline(time.Unix(1, 0)) }

// stand repeats what the client has enabled and selected.
func (in *entered) stand(p *place) (*view, error) {
	if in.cfg.NoModSeq && (p.mods || p.enables("CONDSTORE") || p.enables("QRESYNC")) {
		return nil, cannot(atCapability, "the client uses mod-sequences, which the target numbers in another way")
	}
	exts := p.enabled
	if p.mods && !p.enables("CONDSTORE") && !p.enables("QRESYNC") {
		exts = append(exts[:len(exts):len(exts)], "CONDSTORE")
	}
	if len(exts) > 0 {
		if err := in.c.enable(exts); err != nil {
			return nil, err
		}
	}
	if !p.selected {
		return &view{}, nil
	}
	v, err := in.c.viewAtTarget(p)
	if err != nil {
		return nil, err
	}
	told := v.news.uidValidity
	if in.cfg.Views != nil {
		v := newTranslator(in.cfg.Views)
		v.utf8 = p.enables("UTF8=ACCEPT")
		told = v.seen(p.mailbox, told)
	}
	if told != p.uidValidity {
		return nil, cannot(atView, "%s has UIDVALIDITY %d at the target; the client knows %d", wire.Quoted(p.mailbox), told, p.uidValidity)
	}
	return v, nil
}

// search restores the saved search. What the target tells meanwhile goes into its view.
func (in *entered) search(saved wire.Set, p *place) error {
	if !p.saved || !p.selected {
		return nil
	}
	criteria := "NOT ALL"
	if saved.Len() > 0 {
		criteria = "UID " + saved.String()
	}
	news := false
	err := in.c.obeyed("UID SEARCH RETURN (SAVE) "+criteria, func(d *wire.Decoder, number uint32, word string) error {
		news = news || word == "EXISTS" || word == "EXPUNGE" || word == "VANISHED" || word == "FETCH"
		return in.at.news.news(d, number, word)
	})
	if err == nil && news {
		err = in.c.listTarget(in.at, p)
	}
	return err
}

// resumeIdle begins an IDLE under the client's tag, whose continuation request the client has had.
func (in *entered) resumeIdle(tag string, r *relay) error {
	if _, err := in.conn.Write([]byte(tag + " IDLE\r\n")); err != nil {
		return err
	}
	for {
		line, err := in.conn.R.Line(maxGather)
		if err != nil {
			return cutShort(err)
		}
		switch {
		case line[0] == '+':
			return r.down.flush()
		case line[0] == '*':
			if err := r.down.write(line); err != nil {
				return err
			}
		case strings.HasPrefix(string(line), tag+" "):
			return fmt.Errorf("target does not idle: %s", wire.Quoted(wire.TrimEOL(line)))
		}
	}
}
