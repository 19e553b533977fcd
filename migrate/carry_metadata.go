package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// Bounds of METADATA. A longer entry is not read, and told.
const (
	maxEntry  = 64 << 10
	longEntry = "METADATA LONGENTRIES"
)

// theAccount stands for the server itself among folders, whose private entries are the user's.
const theAccount = ""

// serversOwn are entries in which servers keep what they know of a folder, and special uses, which are carried over
// by themselves.
var serversOwn = []string{"/vendor/cmu/cyrus-imapd/", "/vendor/vendor.dovecot/", "/private/specialuse", "/shared/specialuse"}

// carryMetadata brings entries of the source's folders to the target's, and takes away those that it brought and the source has no
// more. What the target has besides stays.
func (w *worker) carryMetadata(ctx context.Context, names []string) error {
	l := w.lanes[0]
	if !l.src.caps.Has("METADATA") || !l.dst.caps.Has("METADATA") {
		return nil
	}
	c := carrying{kind: kind{ClassMetadata, "entries", entryMarks, l.dst.setEntries, l.dst.unsetEntry}}
	for window := range slices.Chunk(append([]string{theAccount}, names...), statusWindow) { // bounds what is kept at once
		var err error
		if c.given, c.part, err = l.src.entries(window); err != nil {
			return err
		}
		if c.there, _, err = l.dst.entries(w.concerned(&c, window)); err != nil {
			return err
		}
		if err := w.carryOver(ctx, &c, window); err != nil {
			return err
		}
	}
	return nil
}

func entryMarks(c *carried, folder string) *marks {
	if folder == theAccount {
		return &c.Account
	}
	return &c.Entries
}

// entries asks for the entries of folders, and tells why some were not given.
func (c *client) entries(names []string) (all map[string]attributes, texts map[string]string, err error) {
	all, texts = map[string]attributes{}, map[string]string{}
	on := func(r response) error {
		if r.word != "METADATA" {
			return nil
		}
		folder := r.d.AString()
		if folder != theAccount {
			folder = c.here(folder)
		}
		if r.d.SP(); r.d.Peek() != '(' { // only tells that some have changed
			r.d.Rest()
			return nil
		}
		r.d.List(func() {
			entry := r.d.AString()
			r.d.SP()
			r.d.Accept('~') // of a binary literal (RFC 3516)
			value, ok := r.d.NString()
			if ok && !slices.ContainsFunc(serversOwn, func(s string) bool { return strings.Contains(entry, s) }) {
				if all[folder] == nil {
					all[folder] = attributes{}
				}
				all[folder][entry] = string(value)
			}
		})
		return nil
	}
	ask := func(n string) []any {
		options := fmt.Sprintf("(MAXSIZE %d DEPTH infinity)", maxEntry)
		if n == theAccount {
			return []any{"GETMETADATA", options, `""`, "(/private /private/comment /private/vendor)"} // Dovecot tells nothing of what is below the first
		}
		return []any{"GETMETADATA", options, name(n), "(/private /shared)"}
	}
	err = c.askEach(names, ask, on, func(n string, res result, err error) error {
		if errors.Is(vanished(n, err), errVanished) {
			return nil // the next round knows more
		}
		text, err := refusedWords(err)
		if err != nil {
			return fmt.Errorf("metadata of %s in %s: %w", wire.Quoted(n), c.side, err)
		}
		if strings.HasPrefix(res.code, longEntry) {
			text = fmt.Sprintf("an entry is longer than %d bytes", maxEntry)
		}
		if texts[n] = text; text == "" && all[n] == nil {
			all[n] = attributes{}
		}
		return nil
	})
	return all, texts, err
}

// setEntries sets the entries that differ, and returns what the server refuses.
func (c *client) setEntries(folder string, want, have attributes) (refused string, err error) {
	var words []string
	for _, entry := range slices.Sorted(maps.Keys(want)) {
		value := want[entry]
		if had, ok := have[entry]; ok && had == value {
			continue
		}
		text, err := c.setEntry(folder, entry, value)
		if err != nil {
			return "", err
		}
		if text != "" {
			words = append(words, fmt.Sprintf("%s: %s", wire.Quoted(entry), text))
		}
	}
	return strings.Join(words, "; "), nil
}

func (c *client) setEntry(folder, entry, value string) (refused string, err error) {
	if strings.Contains(value, "\x00") {
		return "its value has a NUL", nil
	}
	return c.setMetadata(folder, "("+wire.Quoted(entry), text(value), glued(")"))
}

// unsetEntry takes an entry away, and returns why the server refuses.
func (c *client) unsetEntry(folder, entry string) (refused string, err error) {
	refused, err = c.setMetadata(folder, "("+wire.Quoted(entry)+" NIL)")
	if refused != "" {
		refused = fmt.Sprintf("%s, which the source has no more: %s", wire.Quoted(entry), refused)
	}
	return refused, err
}

func (c *client) setMetadata(folder string, entry ...any) (refused string, err error) {
	var mailbox any = name(folder)
	if folder == theAccount {
		mailbox = `""`
	}
	_, err = c.do(nil, append([]any{"SETMETADATA", mailbox}, entry...)...)
	if refused, err = refusedWords(err); err != nil {
		return "", fmt.Errorf("set metadata of %s: %w", wire.Quoted(folder), err)
	}
	return refused, nil
}
