package testbed

import (
	"context"
	_ "embed" // the session
	"errors"
	"fmt"
	"os/exec"
)

//go:embed imaplib_session.py
var imaplibSession string

// Imaplib runs a session of Python's imaplib over TLS and returns what it has heard, in a form that is equal for equal
// accounts of any user. A refusal, or an end of the session before its LOGOUT, is an error.
func Imaplib(ctx context.Context, addr, user, pass, caFile string) (heard string, err error) {
	bin, err := binary("python3")
	if err != nil {
		return "", err
	}
	name, port, err := host(addr)
	if err != nil {
		return "", fmt.Errorf("imaplib: %w", err)
	}
	out, err := exec.CommandContext(ctx, bin, "-I", "-c", imaplibSession, name, port, user, pass, caFile).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return string(out), fmt.Errorf("imaplib: %w", err)
	}
	return string(out), nil
}
