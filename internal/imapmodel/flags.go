package imapmodel

import (
	"fmt"
	"slices"
	"strings"
)

// flags is a set of flags, sorted, separated by spaces, without \Recent, which belongs to a session.
type flags string

func makeFlags(words []string) flags {
	var all []string
	for _, w := range words {
		if !strings.EqualFold(w, `\Recent`) {
			all = append(all, w)
		}
	}
	slices.Sort(all)
	return flags(strings.Join(slices.Compact(all), " "))
}

func flagsOf(list []value) flags {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.text
	}
	return makeFlags(words)
}

func (f flags) words() []string { return strings.Fields(string(f)) }

func (f flags) has(word string) bool { return slices.Contains(f.words(), word) }

// apply does what STORE does: op is "+FLAGS", "-FLAGS" or "FLAGS".
func (f flags) apply(op string, change flags) flags {
	switch op[0] {
	case '+':
		return makeFlags(append(f.words(), change.words()...))
	case '-':
		return makeFlags(slices.DeleteFunc(f.words(), change.has))
	}
	return change
}

// only keeps one flag.
func (f flags) only(word string) flags {
	if f.has(word) {
		return flags(word)
	}
	return ""
}

// keyword is the one that belongs to the session with that number.
func keyword(session int) string { return fmt.Sprintf("$Own%d", session) }
