package migrate

import (
	"errors"
	"fmt"
	"strings"

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

// stuck says that one folder has to stay behind. The others can be brought over.
type stuck struct{ hold }

func (s stuck) Unwrap() error { return s.hold }

func stuckf(format string, args ...any) error { return stuck{hold{fmt.Sprintf(format, args...)}} }

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
	return !passing(r)
}

// refusedWords returns the server's words if err is a refusal for good, and err itself otherwise.
func refusedWords(err error) (text string, other error) {
	if err == nil || !refusedForGood(err) {
		return "", err
	}
	return err.Error(), nil
}

// declined reports whether a server refused a command, and listens on.
func declined(err error) bool {
	var refused *backend.Refused
	return errors.As(err, &refused) && refused.Status != "BYE"
}

// passing reports whether a server refused for a trouble of its own that goes by (RFC 5530; providers say THROTTLED).
func passing(r *backend.Refused) bool {
	switch codeWord(r) {
	case "UNAVAILABLE", "INUSE", "SERVERBUG", "EXPUNGEISSUED", "THROTTLED":
		return true
	}
	return false
}

// codeWord returns what kind of response code it is; some come with arguments, which mean nothing here.
func codeWord(r *backend.Refused) string {
	word, _, _ := strings.Cut(strings.ToUpper(r.Code), " ")
	return word
}

// authFailed reports whether a server refused a login for the credentials' sake, not for its own.
func authFailed(err error) bool {
	var r *backend.Refused
	if !errors.As(err, &r) || r.Status != "NO" {
		return false
	}
	return !passing(r) && codeWord(r) != "LIMIT" && codeWord(r) != "OVERQUOTA" && (r.Command == "LOGIN" || r.Command == "AUTHENTICATE")
}
