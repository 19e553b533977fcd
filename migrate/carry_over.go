package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// attributes are what a folder has by name: rights by identifier (RFC 4314), annotations by entry (RFC 5464).
type attributes map[string]string

// kind is one kind of attributes, and what is done with them in the target.
type kind struct {
	class string // of exceptions
	named string // what their names are, for operators
	marks func(c *carried, folder string) *marks
	set   func(folder string, want, have attributes) (refused string, err error)
	unset func(folder, name string) (refused string, err error)
}

// carrying is attributes of folders that are to be carried over.
type carrying struct {
	kind
	given map[string]attributes // what the source has; nil for folders of which it does not tell
	part  map[string]string     // folders of which it does not tell all, and why
	there map[string]attributes // what the target has; nil where that is not known

	inherited marks // what a folder on which nobody has looked may have from the one above it
	all       bool  // it is remembered that a folder has none
}

// plan is what is to be done for one folder.
type plan struct {
	folder   string
	old, now marks
	due      []string // what the source has taken back
}

// concerned returns those of folders of which it has to be known what the target has.
func (w *worker) concerned(c *carrying, folders []string) (some []string) {
	for _, n := range folders {
		p, err := w.plan(c, n)
		if err == nil && c.given[n] != nil && (len(p.old)+len(p.now) > 0 || p.old == nil && len(c.inherited) > 0) {
			some = append(some, n)
		}
	}
	return some
}

// carryOver makes attributes of target folders equal to those that are given, and takes back what the source has taken back. What
// the target refuses is an exception.
func (w *worker) carryOver(ctx context.Context, c *carrying, folders []string) error {
	var plans []plan
	before, after := map[string]marks{}, map[string]marks{}
	for _, n := range folders {
		p, err := w.plan(c, n)
		if err == nil && c.given[n] == nil {
			err = w.differs(ctx, n, c.class, c.part[n])
		}
		if err != nil {
			return err
		}
		if c.given[n] == nil {
			continue
		}
		mine := p.old.and(p.now).and(newMarks(p.due...)).atMost(2 * maxMarks)
		if p.old == nil && c.all || !slices.Equal(mine, p.old) {
			before[n], p.old = mine, mine
		}
		plans = append(plans, p)
	}
	if err := w.remember(ctx, &c.kind, before); err != nil {
		return err
	}
	for _, p := range plans {
		words, left, err := c.carry(&p)
		if err != nil {
			return err
		}
		if !slices.Equal(left, p.old) {
			after[p.folder] = left
		}
		if err := w.differs(ctx, p.folder, c.class, strings.Join(words, "; ")); err != nil {
			return err
		}
	}
	return w.remember(ctx, &c.kind, after)
}

func (w *worker) plan(c *carrying, folder string) (plan, error) {
	want := c.given[folder]
	_, n, err := w.folder(recordOf(folder))
	p := plan{folder: folder, old: *c.marks(&n.carried, folder), now: newMarks(slices.Collect(maps.Keys(want))...).atMost(maxMarks)}
	ours := p.old
	if ours == nil {
		ours = c.inherited
	}
	for _, name := range slices.Sorted(maps.Keys(c.there[folder])) {
		if _, wanted := want[name]; !wanted && c.part[folder] == "" && ours.has(name) {
			p.due = append(p.due, name)
		}
	}
	return p, err
}

// carry does what is planned, and returns what the target refuses, and what is to be remembered.
func (c *carrying) carry(p *plan) (words []string, left marks, err error) {
	want, text := c.given[p.folder], ""
	if len(want) > maxMarks { // what is not remembered would live on
		text = fmt.Sprintf("%d %s are too many to be carried over; %d would do", len(want), c.named, maxMarks)
	} else if text, err = c.set(p.folder, want, c.there[p.folder]); err != nil {
		return nil, nil, err
	}
	words, left = append(words, c.part[p.folder], text), p.now
	if c.part[p.folder] != "" || c.there[p.folder] == nil {
		left = p.old
	}
	for _, name := range p.due {
		text, err := c.unset(p.folder, name)
		if err != nil {
			return nil, nil, err
		}
		if text != "" {
			words, left = append(words, text), left.and(newMarks(name))
		}
	}
	return slices.DeleteFunc(words, func(s string) bool { return s == "" }), left.atMost(2 * maxMarks), nil
}
