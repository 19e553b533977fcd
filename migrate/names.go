package migrate

import "fmt"

// sameNames demands that folder names mean the same on both sides.
func sameNames(src, dst *client) error {
	var sep [2]byte
	for i, c := range []*client{src, dst} {
		_, err := c.do(func(r response) error {
			if r.word == "LIST" {
				sep[i] = parseList(r.d).sep
			}
			return nil
		}, "LIST", `""`, `""`)
		if err != nil {
			return fmt.Errorf("ask %s for its hierarchy separator: %w", c.side, err)
		}
	}
	if sep[0] != sep[1] {
		return holdf("names differ: the source separates folders by %q, the target by %q", sep[0], sep[1])
	}
	prefix := [2]string{}
	for i, c := range []*client{src, dst} {
		var err error
		if prefix[i], err = c.personalPrefix(); err != nil {
			return err
		}
	}
	if prefix[0] != prefix[1] {
		return holdf("names differ: the source's folders begin with %q, the target's with %q", prefix[0], prefix[1])
	}
	return nil
}

// personalPrefix asks for the prefix of the first personal namespace (RFC 2342), without its separator.
func (c *client) personalPrefix() (prefix string, err error) {
	if !c.caps.Has("NAMESPACE") {
		return "", nil
	}
	_, err = c.do(func(r response) error {
		if r.word != "NAMESPACE" || r.d.Peek() != '(' {
			return nil
		}
		seen := false
		r.d.List(func() {
			r.d.List(func() {
				if s, ok := r.d.NString(); ok && !seen {
					prefix, seen = string(s), true
				}
				for r.d.Accept(' ') {
				}
				for r.d.Peek() != ')' && r.d.Err() == nil {
					r.d.Skip()
					r.d.Accept(' ')
				}
			})
		})
		r.d.Rest()
		return nil
	}, "NAMESPACE")
	if err != nil {
		return "", fmt.Errorf("ask %s for its namespaces: %w", c.side, err)
	}
	return prefix, nil
}
