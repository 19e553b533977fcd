package testbed

import "strings"

// namespace is the personal namespace of an account.
type namespace struct{ prefix, delimiter string }

// namespace asks for it; servers without the extension have no prefix.
func (c *Client) namespace() (namespace, error) {
	var ns namespace
	if c.Has("NAMESPACE") {
		return ns, c.each(func(r Response) error {
			if len(r.Values) > 1 && r.Values[0].Text == "NAMESPACE" && len(r.Values[1].List) > 0 {
				if first := r.Values[1].List[0].List; len(first) > 1 {
					ns = namespace{first[0].Text, first[1].Text}
				}
			}
			return nil
		}, "NAMESPACE")
	}
	return ns, c.each(func(r Response) error {
		if len(r.Values) == 4 && r.Values[0].Text == "LIST" {
			ns.delimiter = r.Values[2].Text
		}
		return nil
	}, `LIST "" ""`)
}

// path joins levels to a folder name.
func (ns namespace) path(levels ...string) string {
	if len(levels) == 1 && levels[0] == "INBOX" {
		return "INBOX"
	}
	return ns.prefix + strings.Join(levels, ns.delimiter)
}

// holds reports whether a level would be taken for two.
func (ns namespace) holds(level string) bool {
	return ns.delimiter != "" && strings.Contains(level, ns.delimiter)
}
