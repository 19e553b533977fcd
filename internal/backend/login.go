package backend

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"imapferry/internal/wire"
)

// loginTimeout bounds a login. Servers delay failed ones on purpose, by 15 s and more.
const loginTimeout = time.Minute

// ErrNUL says that a name or secret holds NUL, which neither LOGIN nor PLAIN can carry: PLAIN would take what follows
// for another field.
var ErrNUL = errors.New("name or password holds NUL")

// ErrNoSecret says that the login method needs the user's own secret and there is none.
var ErrNoSecret = errors.New("no password of the user at hand")

// LoginOwn logs user in with the user's own secret, which proves it, and returns the text of the server's OK with its
// response code.
func (c *Conn) LoginOwn(ctx context.Context, user string, secret Secret) (string, error) {
	name := c.backend.UserName(user)
	return c.login(ctx, "", name, secret)
}

// Login enters the account of user by the configured method. secret is used by passthrough alone.
func (c *Conn) Login(ctx context.Context, user string, secret Secret) (string, error) {
	cfg, name := c.backend.cfg, c.backend.UserName(user)
	switch cfg.Login {
	case Master:
		return c.login(ctx, name, cfg.MasterUser, cfg.MasterPassword)
	case MasterSuffix:
		return c.login(ctx, "", name+cfg.MasterSeparator+cfg.MasterUser, cfg.MasterPassword)
	case Shared:
		return c.login(ctx, "", name, cfg.MasterPassword)
	}
	if secret == "" {
		return "", fmt.Errorf("log in to %s: %w", c.backend.name, ErrNoSecret)
	}
	return c.login(ctx, "", name, secret)
}

func (c *Conn) login(ctx context.Context, authz, user string, secret Secret) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	err = c.within(ctx, func() error {
		before := c.Caps
		c.Caps = nil
		if text, err = c.authenticate(before, authz, user, secret); err != nil {
			return err
		}
		if c.Caps != nil {
			return nil
		}
		greeting := c.untagged
		if err := c.askCaps(); err != nil {
			return err
		}
		c.untagged = append(greeting, c.untagged...)
		return nil
	})
	var refused *Refused
	if errors.As(err, &refused) {
		refused.withhold(authz, user, secret)
	} else if err != nil {
		err = fmt.Errorf("log in to %s: %w", c.backend.name, err)
	}
	return text, err
}

// withhold takes the server's words out of Text if they repeat the secret in a form in which it was sent: they go to logs and
// records (I8). Without regard to case, since servers like to print commands in capitals.
func (e *Refused) withhold(authz, user string, secret Secret) {
	sent := []string{
		string(secret),
		strings.Trim(wire.Quoted(string(secret)), `"`),
		base64.StdEncoding.EncodeToString([]byte(authz + "\x00" + user + "\x00" + string(secret))),
	}
	holds := func(said string) bool {
		return slices.ContainsFunc(sent, func(s string) bool {
			return s != "" && strings.Contains(strings.ToLower(said), strings.ToLower(s))
		})
	}
	if holds(e.Text) {
		e.Text = "(its words hold the password)"
	}
	if name, args, _ := strings.Cut(e.Code, " "); holds(args) { // the name alone is a word of the protocol, whatever the password
		e.Code = name
	}
}

// authenticate prefers AUTHENTICATE PLAIN, which is the only way to name another user. Servers without it get LOGIN,
// with literals for what a quoted string cannot hold.
func (c *Conn) authenticate(caps Caps, authz, user string, secret Secret) (string, error) {
	if strings.Contains(authz+user+string(secret), "\x00") {
		return "", ErrNUL
	}
	if authz == "" && !caps.Has("AUTH=PLAIN") && !caps.Has("LOGINDISABLED") {
		line, answers := loginCommand(user, string(secret))
		return c.command(line, answers)
	}
	_, ir, err := sasl.NewPlainClient(authz, user, string(secret)).Start()
	if err != nil {
		return "", err
	}
	response := base64.StdEncoding.EncodeToString(ir)
	if caps.Has("SASL-IR") {
		return c.command("AUTHENTICATE PLAIN "+response, nil)
	}
	return c.command("AUTHENTICATE PLAIN", []string{response})
}

// loginCommand returns LOGIN up to its first synchronizing literal and what follows each continuation request.
func loginCommand(user, secret string) (line string, answers []string) {
	parts := []string{"LOGIN "}
	add := func(s, after string) {
		last := len(parts) - 1
		if !wire.NeedsLiteral(s) {
			parts[last] += wire.Quoted(s) + after
			return
		}
		parts[last] += "{" + strconv.Itoa(len(s)) + "}"
		parts = append(parts, s+after)
	}
	add(user, " ")
	add(secret, "")
	return parts[0], parts[1:]
}
