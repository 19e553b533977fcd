package testbed

import (
	"fmt"
	"slices"
	"strings"
)

// tortureNames are single levels, as they stand in a command: modified UTF-7
// where it is.
func tortureNames() []string {
	return []string{
		"Entw&APw-rfe", "&U,BTFw-", "&2D3cqQ-", "Tom &- Jerry", "&-", "&Jjo-&-&Jjo-", // the third is beyond 16 bits
		"NFC &AOk-", "NFD e&AwE-", // the same to a reader
		"&AGE-bc", "&bad", "&AAA-", "raw \xc3\xbc", "broken \xff\xfe", // what modified UTF-7 forbids
		`quo"te`, `back\slash`, `end\`, "per%cent", "st*r", "%", "*", "(paren)", "{5}", "{5+}", "[x]", "a b  c", " lead", "trail ",
		"~tilde", "~", "#hash", "'apos'", "`tick`", "$HOME", "a,b;c", "a=b", "<a@b>", "a|b", "a:b", "!", "?",
		"dot.in.it", ".lead", "trail.", "slash/in/it", "..", "...",
		"NIL", "nil", "0", "-1", "INBOX2", "inbox.", "Case", "case", "CASE",
		"cur", "new", "tmp", "dbox-Mails", "subscriptions", "dovecot.index", "courierimapuiddb",
		"tab\tin it", "line\r\nend", "line\nfeed", "bell\a", "del\x7f",
		strings.Repeat("n", 100), "&" + strings.Repeat("AOkA6QDp", 24) + "-", strings.Repeat("n", 200), strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat("n", 2000),
	}
}

// names makes a folder of each name, each with a message, every other one
// subscribed.
func (t *torturer) names() error {
	for i, level := range tortureNames() {
		m := t.w.mail(200)
		name, ok, err := t.create(level)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := t.append("a message", name, m); err != nil {
			return err
		}
		if i%2 == 0 {
			if _, err := t.try("subscribe "+brief(name), "SUBSCRIBE ", Quote(name)); err != nil {
				return err
			}
		}
	}
	for _, levels := range [][]string{{"INBOX", "Child"}, {"Inbox", "Child too"}, {"Case", "child"}, {"case", "Child"}} {
		if _, _, err := t.create(levels...); err != nil {
			return err
		}
	}
	return t.deep()
}

// deep nests levels, with a message in the last one that the server makes.
func (t *torturer) deep() error {
	deepest := ""
	levels := []string{"Deep"}
	for depth := range 30 {
		name, ok, err := t.create(levels...)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		deepest = name
		levels = append(slices.Clone(levels), fmt.Sprintf("level %d", depth+2))
	}
	if deepest == "" {
		return nil
	}
	return t.append("a message", deepest, t.w.mail(200))
}

// parents has parents that are there in name only: never made, made as such,
// and deleted from above their children.
func (t *torturer) parents() error {
	mail := t.w.mail(200)
	name, ok, err := t.create("Never made", "nor this", "Leaf")
	if err != nil {
		return err
	}
	if ok {
		if err := t.append("a message", name, mail); err != nil {
			return err
		}
	}
	if _, _, err := t.create("Shell" + t.ns.delimiter); err != nil {
		return err
	}
	for _, levels := range [][]string{{"Doomed"}, {"Doomed", "Child"}} {
		if _, _, err := t.create(levels...); err != nil {
			return err
		}
	}
	_, err = t.try("delete a parent", "DELETE ", Quote(t.ns.path("Doomed")))
	return err
}

// ghosts subscribes to folders that then are deleted or renamed, and to one that
// never was.
func (t *torturer) ghosts() error {
	for _, level := range []string{"Ghost deleted", "Ghost renamed"} {
		name, ok, err := t.create(level)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if _, err := t.try("subscribe "+brief(name), "SUBSCRIBE ", Quote(name)); err != nil {
			return err
		}
	}
	for _, do := range [][]any{
		{"DELETE ", Quote(t.ns.path("Ghost deleted"))},
		{"RENAME ", Quote(t.ns.path("Ghost renamed")), " ", Quote(t.ns.path("Renamed"))},
		{"SUBSCRIBE ", Quote(t.ns.path("Ghost never made"))},
	} {
		if _, err := t.try(fmt.Sprint(do...), do...); err != nil {
			return err
		}
	}
	return nil
}

// many makes the folders that an option asks for.
func (t *torturer) many() error {
	for i := range t.Folders {
		name, ok, err := t.create("Many", fmt.Sprintf("%04d", i))
		if err != nil {
			return err
		}
		if ok && i%10 == 0 {
			if err := t.append("a message", name, t.w.mail(200)); err != nil {
				return err
			}
		}
	}
	return nil
}
