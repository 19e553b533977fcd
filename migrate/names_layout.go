package migrate

import (
	"fmt"
	"strings"

	"imapferry/internal/wire"
)

// layout is how a server arranges the names of folders (RFC 2342).
type layout struct {
	sep    byte     // 0: flat
	own    []string // prefixes of the user's own folders; the first is where new ones belong
	others []string // prefixes of folders of other users, and of public ones
}

// prefix is what the names of the user's own folders begin with. INBOX has none.
func (a *layout) prefix() string {
	if len(a.own) == 0 {
		return ""
	}
	return a.own[0]
}

func (a *layout) naming() naming { return naming{a.prefix(), a.sep} }

// shared returns the namespace of other users or the public that name belongs to: the longest prefix decides, and
// Cyrus has an empty one for public folders.
func (a *layout) shared(name string) (prefix string, ok bool) {
	if name == wire.Inbox {
		return "", false
	}
	best := -1
	for _, p := range a.own {
		if inNamespace(name, p) {
			best = max(best, len(p))
		}
	}
	for _, p := range a.others {
		if inNamespace(name, p) && len(p) > best {
			prefix, ok, best = p, true, len(p)
		}
	}
	return prefix, ok
}

// inNamespace reports whether name begins with prefix, or is the folder above all of the namespace.
func inNamespace(name, prefix string) bool {
	return strings.HasPrefix(name, prefix) || prefix != "" && name == prefix[:len(prefix)-1]
}

// layout asks for it. Without NAMESPACE all folders are the user's own.
func (c *client) layout() (*layout, error) {
	a := &layout{}
	_, err := c.do(func(r response) error {
		if r.word == "LIST" {
			a.sep = parseList(r.d).sep
		}
		return nil
	}, "LIST", `""`, `""`)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its hierarchy separator: %w", c.side, err)
	}
	if !c.caps.Has("NAMESPACE") {
		return a, nil
	}
	_, err = c.do(func(r response) error {
		if r.word == "NAMESPACE" {
			a.take(r.d)
		}
		return nil
	}, "NAMESPACE")
	if err != nil {
		return nil, fmt.Errorf("ask %s for its namespaces: %w", c.side, err)
	}
	return a, nil
}

// take reads the three lists of a NAMESPACE response: the user's own, other users', shared. Each may be NIL.
func (a *layout) take(d *wire.Decoder) {
	for _, to := range []*[]string{&a.own, &a.others, &a.others} {
		if d.Peek() != '(' {
			d.Skip()
		} else {
			d.List(func() { *to = append(*to, parseNamespace(d)) })
		}
		d.Accept(' ')
	}
	d.Rest()
}

// parseNamespace reads ("prefix" "separator" extensions…) and returns the prefix. Some servers leave out the space
// between two of them.
func parseNamespace(d *wire.Decoder) (prefix string) {
	first := true
	d.List(func() {
		if first {
			s, _ := d.NString()
			prefix, first = string(s), false
			return
		}
		d.Skip()
	})
	return prefix
}
