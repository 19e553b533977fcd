package migrate

import (
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// refusal says that the target did not take messages for what they are. The one to blame has a UID of at most upTo.
type refusal struct {
	upTo   uint32
	reason error
}

func (r refusal) Error() string { return r.reason.Error() }
func (r refusal) Unwrap() error { return r.reason }

// unread says that the source did not give the message with this UID, or the first one after it.
type unread struct {
	uid    uint32
	reason error
}

func (u unread) Error() string { return u.reason.Error() }
func (u unread) Unwrap() error { return u.reason }

// passedOver is an unread of a message that its server lists and leaves out of its answer.
func passedOver(side, folder string, uid uint32) error {
	return unread{uid, fmt.Errorf("%s uid %d: the %s lists the message and does not send it", wire.Quoted(folder), uid, side)}
}

// notRead makes an unread of what ended a FETCH of messages up to to, of which the last that came had the UID last. What
// goes by, or is not about messages, stays as it is.
func notRead(last, to uint32, err error) error {
	var r *backend.Refused
	switch _, held := permanent(err); {
	case held || errors.As(err, new(unread)):
		return err
	case errors.Is(err, wire.ErrSyntax):
		return unread{to, err}
	case !errors.As(err, &r):
		return unread{last + 1, err}
	}
	switch codeWord(r) {
	case "UNAVAILABLE", "INUSE", "THROTTLED", "OVERQUOTA", "LIMIT", "NOPERM": // of the server's, or of what it lets a user read in a time
		return err
	}
	if r.Status == "BYE" {
		return unread{last + 1, err}
	}
	return unread{to, err}
}

// refusesMessage reports whether the target's answer to an APPEND is about the message, as far as one can tell: not about
// the folder or the account, and not a trouble of its own (RFC 5530).
func refusesMessage(r *backend.Refused) bool {
	if r.Status == "BYE" {
		return false
	}
	switch codeWord(r) {
	case "OVERQUOTA", "UNAVAILABLE", "INUSE", "SERVERBUG", "THROTTLED", "CORRUPTION", "CONTACTADMIN",
		"TRYCREATE", "NONEXISTENT", "NOPERM", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED":
		return false
	}
	return true
}

// aboutMessage returns up to which UID the message is that err is about, if it is about a message.
func aboutMessage(err error) (upTo uint32, ok bool) {
	var r refusal
	var u unread
	if errors.As(err, &r) {
		return r.upTo, true
	}
	if errors.As(err, &u) {
		return u.uid, true
	}
	return 0, false
}
