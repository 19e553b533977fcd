package proxy

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"imapferry/internal/wire"
)

// toBackend is the pump for commands.
func (r *relay) toBackend() {
	defer r.pumped()
	err := r.commands()
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		if err = r.lockWhen(r.mayPart); err == nil {
			r.setReason(endedByClient, nil)
			leaves := r.halting.why == toMove
			r.part()
			r.mu.Unlock()
			if leaves { // the source has nothing more to say
				r.backend.conn.Close()
			} else {
				closeWrite(r.backend.conn)
			}
			return
		}
	}
	switch {
	case errors.Is(err, errHalted):
		return
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

// mayPart reports whether the end of the client's stream may be passed on. Not even that passes a hold; after a switch it waits
// for the answers that are on their way, and there is nobody to move for. The caller holds mu.
func (r *relay) mayPart() bool {
	r.stirred()
	return !r.held || r.halting.why == toMove && !r.flight.unsettled()
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
func (r *relay) linger() {
	r.mu.Lock()
	r.halting.woken[clientSide] = false
	if r.over { // await may have cleared finish's deadline
		r.client.conn.SetReadDeadline(time.Now().Add(lingerLimit))
	}
	r.part()
	r.mu.Unlock()
	io.Copy(io.Discard, r.client.conn) // only its end matters, not how it comes
}

// commands passes on commands until the client or the backend is gone, or both pumps halt.
func (r *relay) commands() error {
	for {
		if err := r.await(clientSide); err != nil {
			return err
		}
		part, eol, err := r.client.r.Part()
		if err != nil {
			return err
		}
		if r.idle == nil {
			err = r.command(part, eol)
		} else {
			err = r.endIdle(part, eol)
		}
		if errors.Is(err, errAside) {
			r.client.r.Back(len(part))
			continue
		}
		if err != nil {
			return err
		}
	}
}

// endIdle takes the line behind an IDLE, which ends it; if it has ended before, the line is a command.
func (r *relay) endIdle(part []byte, eol bool) error {
	done, err := r.continues(r.idle)
	if err != nil {
		return err
	}
	r.idle = nil
	if done {
		return r.rawLine(part, eol)
	}
	return r.command(part, eol)
}

// errAside sends a pump back to the boundary before what it has at hand: it is to halt there.
var errAside = errors.New("halt first")

// lockAtBoundary is lockWhen for a pump that may halt meanwhile.
func (r *relay) lockAtBoundary(ready func() bool) error {
	err := r.lockWhen(func() bool {
		r.stirred()
		return r.halting.why != 0 || ready()
	})
	if err == nil && r.halting.why != 0 {
		r.mu.Unlock()
		return errAside
	}
	return err
}

// lockWhen writes out what is due to the backend, waits until ready holds and the session goes on, and returns with
// mu locked; or with an error and mu unlocked.
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
	if err := r.lockAtBoundary(func() bool { return c.over || c.gotPlus && !r.held }); err != nil {
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

// command passes on one command, of whose first line part is at hand.
func (r *relay) command(part []byte, eol bool) (err error) {
	c := parseCommand(part)
	if r.cfg.Touched != nil || r.owes.Load() {
		c.observe(part, eol)
	}
	part = r.examine(c, part, eol)
	if part, err = r.admit(c, part); err != nil {
		return err
	}
	if c.reply != "" {
		r.cfg.Log.Debug("command kept from the backend", "command", c.name)
		if err = r.up.write([]byte(c.tag + " NOOP\r\n")); err == nil {
			err = r.drop(part, eol)
		}
	} else {
		if r.cfg.Views != nil || r.cfg.Touched != nil {
			c.args = newArguments(c.name)
		}
		err = r.lines(c, part, eol)
	}
	r.inside = err != nil
	if c.name == "IDLE" {
		r.idle = c
	}
	return err
}

// admit lets a command through the gate: not while held, and not with maxFlight commands in flight. It returns the part
// to send on, which is another one where sequence numbers had to be translated.
func (r *relay) admit(c *inFlight, part []byte) ([]byte, error) {
	r.mu.Lock()
	r.stirred()
	passes := func() bool { return !r.held && len(r.flight) < maxFlight && !r.forgetsEarly(c) }
	if r.over || r.ending || r.halting.why != 0 || !passes() {
		r.mu.Unlock()
		if err := r.lockAtBoundary(passes); err != nil {
			return part, err
		}
	}
	defer r.mu.Unlock()
	part, err := r.inOwnNumbers(c, part)
	if err != nil {
		return part, err
	}
	r.flight.add(c)
	r.sending, r.inside = true, true
	return part, nil
}

// lines passes on all lines and literals of a command.
func (r *relay) lines(c *inFlight, part []byte, eol bool) error {
	for {
		lit, start, announced := wire.Literal{}, 0, false
		if eol {
			lit, start, announced = wire.ParseLiteral(part)
		}
		r.note(c, part, eol)
		if eol && !announced {
			r.asked(c, c.watch)
		}
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
		out, refused := c.watch.line(part, eol)
		if refused != "" {
			return r.spoil(c, refused, part, eol)
		}
		part = out
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
