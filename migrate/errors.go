package migrate

import (
	"errors"
	"fmt"

	"imapferry/internal/backend"
)

// errNoSecret says that a worker has to log in with the user's password and does not have it.
var errNoSecret = fmt.Errorf("waiting for the user's next login: %w", backend.ErrNoSecret)

// hold is a permanent failure: the user is held with this reason until an operator acts.
type hold struct{ reason string }

func (h hold) Error() string { return h.reason }

func holdf(format string, args ...any) error { return hold{fmt.Sprintf(format, args...)} }

// shifted says that the target gave other UIDs than were due: somebody else's mail, or a dead worker's last batch,
// came in between. The folder has to be copied anew, if all that it holds is provably ours.
type shifted struct {
	folder string
	want   string
	got    string
}

func (s shifted) Error() string {
	return fmt.Sprintf("append to %q: got uids %s instead of %s", s.folder, s.got, s.want)
}

// permanent reports whether trying again by itself cannot help, and why.
func permanent(err error) (reason string, ok bool) {
	var h hold
	if errors.As(err, &h) {
		return h.reason, true
	}
	return "", false
}

// refusedForGood reports whether a server refused a command for what it says, not for a trouble of its own (RFC 5530).
func refusedForGood(err error) bool {
	var r *backend.Refused
	if !errors.As(err, &r) || r.Status == "BYE" {
		return false
	}
	switch r.Code {
	case "UNAVAILABLE", "INUSE", "SERVERBUG", "EXPUNGEISSUED":
		return false
	}
	return true
}

// authFailed reports whether a server refused a login for the credentials' sake, not for its own.
func authFailed(err error) bool {
	var r *backend.Refused
	if !errors.As(err, &r) || r.Status != "NO" {
		return false
	}
	switch r.Code {
	case "UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG":
		return false
	}
	return r.Command == "LOGIN" || r.Command == "AUTHENTICATE"
}
