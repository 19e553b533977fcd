package proxy

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"imapferry/internal/wire"
)

// toBackend is the pump for commands.
func (r *relay) toBackend() {
	err := r.commands()
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = r.lockWhen(func() bool { return !r.held }) // not even the end of the stream passes a hold
		if err == nil {
			r.setReason(endedByClient, nil)
			r.mu.Unlock()
			closeWrite(r.backend.conn)
			return
		}
	}
	switch {
	case errors.Is(err, errOver):
	case errors.Is(err, errWrite):
		// The backend takes nothing any more. What it has said still goes to the client, unless it does not even read.
		if isTimeout(err) {
			r.mu.Lock()
			r.setReason(endedByTimeout, fmt.Errorf("relay to backend: %w", err))
			r.mu.Unlock()
			r.backend.conn.Close()
		}
	default:
		r.clientGone(err)
		r.backend.conn.Close()
	}
	r.linger()
}

func (r *relay) clientGone(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err = orderly(err); err != nil {
		err = fmt.Errorf("read from client: %w", err)
	}
	r.setReason(endedByClient, err)
}

// linger reads and drops what the client still sends until it closes, or until finish's deadline: a connection closed with unread
// bytes is reset, and the reset may overtake the last responses.
func (r *relay) linger() { io.Copy(io.Discard, r.client.conn) } // only its end matters, not how it comes

// commands passes on commands until the client or the backend is gone.
func (r *relay) commands() error {
	var idle *inFlight
	for {
		part, eol, err := r.client.r.Part()
		if err != nil {
			return err
		}
		if idle != nil {
			done, err := r.continues(idle)
			if err != nil {
				return err
			}
			if done {
				if err := r.rawLine(part, eol); err != nil {
					return err
				}
				idle = nil
				continue
			}
		}
		if idle, err = r.command(part, eol); err != nil {
			return err
		}
	}
}

// lockWhen writes out what is due to the backend, waits until ready holds and the session goes on, and returns with mu locked; or with an error and
// mu unlocked.
func (r *relay) lockWhen(ready func() bool) error {
	if err := r.up.flush(); err != nil {
		return err
	}
	r.mu.Lock()
	for {
		if r.over || r.ending {
			r.mu.Unlock()
			return errOver
		}
		if ready() {
			return nil
		}
		r.changed.Wait()
	}
}

// continues waits until the IDLE c runs, or has been refused or ended, and reports whether the client's next line, which is at
// hand, belongs to it. A hold keeps this line back.
func (r *relay) continues(c *inFlight) (bool, error) {
	if err := r.lockWhen(func() bool { return c.over || c.gotPlus && !r.held }); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if c.over {
		return false, nil
	}
	c.doneSent, r.sending, r.inside = true, true, true
	return true, nil
}

// rawLine passes on a line that is no command.
func (r *relay) rawLine(part []byte, eol bool) (err error) {
	for {
		if err := r.up.write(part); err != nil {
			return err
		}
		if eol {
			r.inside = false
			return nil
		}
		if part, eol, err = r.client.r.Part(); err != nil {
			return err
		}
	}
}

// command passes on one command, of whose first line part is at hand. It returns it if it is an IDLE, whose end is yet to come.
func (r *relay) command(part []byte, eol bool) (idle *inFlight, err error) {
	c := parseCommand(part)
	if err := r.admit(c); err != nil {
		return nil, err
	}
	if c.reply != "" {
		r.cfg.Log.Debug("command kept from the backend", "command", c.name)
		if err = r.up.write([]byte(c.tag + " NOOP\r\n")); err == nil {
			err = r.drop(part, eol)
		}
	} else {
		if r.cfg.Views != nil {
			c.args = newArguments(c.name)
		}
		err = r.lines(c, part, eol)
	}
	r.inside = err != nil
	if c.name == "IDLE" {
		idle = c
	}
	return idle, err
}

// admit lets a command through the gate: not while held, and not with maxFlight commands in flight.
func (r *relay) admit(c *inFlight) error {
	r.mu.Lock()
	if r.held || r.over || r.ending || len(r.flight) >= maxFlight {
		r.mu.Unlock()
		if err := r.lockWhen(func() bool { return !r.held && len(r.flight) < maxFlight }); err != nil {
			return err
		}
	}
	r.flight.add(c)
	r.sending, r.inside = true, true
	r.mu.Unlock()
	return nil
}

// lines passes on all lines and literals of a command.
func (r *relay) lines(c *inFlight, part []byte, eol bool) error {
	for {
		lit, start, announced := wire.Literal{}, 0, false
		if eol {
			lit, start, announced = wire.ParseLiteral(part)
		}
		r.note(c, part, eol)
		asks := announced && !lit.NonSync
		converts := announced && lit.NonSync && !r.cfg.LiteralPlus
		if converts {
			part = append(part[:start:start], synchronizing(lit)...)
		}
		if asks || converts {
			r.expectPlus(c, converts)
		}
		if err := r.up.write(part); err != nil {
			return err
		}
		switch {
		case eol && !announced:
			return nil
		case asks || converts:
			refused, err := r.awaitPlus(c)
			if err != nil {
				return err
			}
			if refused && converts {
				return r.dropLiterals(lit)
			}
			if refused {
				return nil
			}
		}
		if announced {
			if err := r.literal(c, lit.Size); err != nil {
				return err
			}
		}
		var err error
		if part, eol, err = r.client.r.Part(); err != nil {
			return err
		}
	}
}

// synchronizing is the marker with line end of a literal for which the sender waits.
func synchronizing(lit wire.Literal) string {
	marker := "{" + strconv.FormatInt(lit.Size, 10) + "}\r\n"
	if lit.Binary {
		marker = "~" + marker
	}
	return marker
}

// literal passes on the body of a literal, noting it if it may be a mailbox name.
func (r *relay) literal(c *inFlight, size int64) error {
	if c.args.wants(size) {
		body := make([]byte, size)
		if _, err := io.ReadFull(r.client.r.Literal(size), body); err != nil {
			return err
		}
		c.args.text = append(c.args.text, body...)
		return r.up.write(body)
	}
	c.args = nil
	return r.up.literal(r.client.r, size)
}

func (r *relay) expectPlus(c *inFlight, own bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.wantsPlus, c.gotPlus, c.ownPlus = !c.over, false, own
}

// awaitPlus waits for the backend's word on a literal. If it is a refusal, the command is over, and a client that asked for
// leave does not send the literal (RFC 9051, 4.3).
func (r *relay) awaitPlus(c *inFlight) (refused bool, err error) {
	if err := r.lockWhen(func() bool { return c.gotPlus || c.over }); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	return !c.gotPlus, nil
}

// drop reads the rest of a command that does not reach the backend. A client that asks for leave to send a literal gets
// a refusal, and the command ends there; {n+} follows in any case.
func (r *relay) drop(part []byte, eol bool) (err error) {
	for {
		if eol {
			lit, _, ok := wire.ParseLiteral(part)
			if !ok || !lit.NonSync {
				return nil
			}
			return r.dropLiterals(lit)
		}
		if part, eol, err = r.client.r.Part(); err != nil {
			return err
		}
	}
}

// dropLiterals is drop from the body of a literal on.
func (r *relay) dropLiterals(lit wire.Literal) error {
	if err := r.up.flush(); err != nil { // the answer does not wait for the literal
		return err
	}
	for {
		if _, err := io.Copy(io.Discard, r.client.r.Literal(lit.Size)); err != nil {
			return err
		}
		var part []byte
		var eol, ok bool
		for !eol {
			var err error
			if part, eol, err = r.client.r.Part(); err != nil {
				return err
			}
		}
		if lit, _, ok = wire.ParseLiteral(part); !ok || !lit.NonSync {
			return nil
		}
	}
}
