package migrate

import (
	"context"
	"fmt"
	"slices"

	"imapferry/internal/wire"
	"imapferry/state"
)

// view is what a worker sees of one server's folders: under which names, and which are left out. The engine knows folders by
// the source's names; the target's are translated where commands are written and answers are read.
type view struct {
	layout
	names   mapping // the zero mapping, which changes nothing, at the source
	escapes escapes
	prefix  string // of the user's own folders in the engine's names
	sep     byte   // in the engine's names
	exclude []string
	shared  bool // copy the folders of other users and of the public too
}

// there returns the server's name for a folder.
func (v *view) there(folder string) string {
	if there, ok := v.escapes.there(folder); ok {
		return there
	}
	return v.names.target(folder)
}

// here returns the engine's name for a folder of the server.
func (v *view) here(there string) string {
	if folder, ok := v.escapes.here(there); ok {
		return folder
	}
	return v.names.source(there)
}

// there is view.there, and the same name before the view is known.
func (c *client) there(folder string) string {
	if c.view == nil {
		return folder
	}
	return c.view.there(folder)
}

// here is view.here, and the same name before the view is known.
func (c *client) here(there string) string {
	if there = wire.CanonicalName(there); c.view == nil {
		return there
	}
	return c.view.here(there)
}

// own returns the engine's name for a folder at the top of the user's own.
func (c *client) own(level string) string {
	if c.view == nil {
		return level
	}
	return c.view.prefix + level
}

// learnNames asks both servers how they arrange folders. From then on this lane, and those that are opened later, go by the
// source's names and see no folders that are left out.
func (l *lane) learnNames() error {
	var a [2]*layout
	for i, c := range []*client{l.src, l.dst} {
		var err error
		if a[i], err = c.layout(); err != nil {
			return err
		}
	}
	w, exclude := l.w, l.w.e.cfg.Exclude
	w.srcView = &view{layout: *a[0], prefix: a[0].prefix(), sep: a[0].sep, exclude: exclude, shared: w.e.cfg.Shared}
	w.dstView = &view{layout: *a[1], prefix: a[0].prefix(), sep: a[0].sep, exclude: exclude, // what others have there is never ours to write to
		names: mapping{a[0].naming(), a[1].naming()}}
	for _, f := range w.known() {
		if f.Target != "" && f.Target == w.dstView.names.strict(f.Name) {
			w.dstView.escapes.add(f.Name, f.Target)
		}
	}
	l.src.view, l.dst.view = w.srcView, w.dstView
	return nil
}

// named adds the target's name to a folder that has another one there.
func (w *worker) named(f state.Folder) state.Folder {
	if f.Target = w.dstView.there(f.Name); f.Target == f.Name {
		f.Target = ""
	}
	return f
}

// renameRows gives the records of folders the names that the target has now: an operator may have configured it anew,
// so that names are equal.
func (w *worker) renameRows(ctx context.Context) error {
	for _, f := range w.known() {
		n, err := readNote(f)
		if err == nil && w.named(f).Target != f.Target {
			err = w.putFolder(ctx, f, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameNames holds a user whose clients would see other names of folders after the switch (I2).
func (w *worker) sameNames() error {
	if w.e.cfg.allows(ClassNames) {
		return nil
	}
	var other []state.Folder
	for _, f := range w.known() {
		if f.Target != "" && !w.leftOut(f.Name) {
			other = append(other, f)
		}
	}
	if len(other) == 0 {
		return nil
	}
	example := slices.MinFunc(other, func(a, b state.Folder) int { return len(a.Name) - len(b.Name) })
	return holdf("names differ: at the target %s is %s, and so with %d folders; %s, or allow it by migrate.allow = [\"names\"], then retry",
		wire.Quoted(example.Name), wire.Quoted(example.Target), len(other), w.dstView.names.advice())
}

// advice says how the target has to be configured so that names stay equal.
func (m mapping) advice() string {
	return fmt.Sprintf("give the target the prefix %q and the separator %q, as the source has them", m.src.prefix, m.src.separator())
}
