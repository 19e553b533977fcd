package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/redisstate"
)

// store tries the store without disturbing a node that runs on it.
func (k *checker) store(ctx context.Context) {
	if path, ok := k.cfg.State.URL.file(); ok {
		k.storeFile(path)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	opts := k.cfg.State.redis()
	opts.Log = slog.New(&warnings{check: "state", to: k})
	used, err := redisstate.Try(ctx, string(k.cfg.State.URL), opts)
	if err != nil {
		k.fail("state", "see that Redis runs, with as many replicas as state.confirm_replicas says, and that state.url has its port, user and password", "%v", err)
		return
	}
	if !used {
		k.ok("state", "Redis answers; its store is yet to be made")
		return
	}
	k.ok("state", "Redis answers")
}

// warnings turns what a part logs for operators into findings.
type warnings struct {
	check string
	to    *checker
}

func (w *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle takes the attributes of the line, not those of the logger, which repeat what is being checked.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " (" + a.String() + ")"
		return true
	})
	w.to.warn(w.check, "", "%s", text)
	return nil
}

func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *warnings) WithGroup(string) slog.Handler      { return w }

// storeFile opens the file for reading alone: that makes no file, which root's check would leave to a user who may
// not write it, and the lock that comes with it lets no running node go.
func (k *checker) storeFile(path string) {
	const owner = "let imapferry's user own the folder; the unit file does it by StateDirectory"
	switch err := boltstate.Try(path); {
	case err == nil:
		k.ok("state", "%s opens", path)
	case errors.Is(err, boltstate.ErrInUse):
		k.ok("state", "%s is in use by a running imapferry", path)
	case errors.Is(err, state.ErrAbsent):
		dir := existing(filepath.Dir(path))
		if err := syscall.Access(dir, writable); err != nil {
			k.warn("state", owner, "%s is yet to be made, and this user may not write to %s", path, dir)
			return
		}
		k.ok("state", "%s is yet to be made", path)
	case errors.Is(err, state.ErrUnfinished):
		k.fail("state", "", "%s: %v", path, err)
	case errors.Is(err, fs.ErrPermission):
		k.warn("state", owner, "this user may not read %s", path)
	default:
		k.fail("state", "give a file that imapferry has written", "%s: %v", path, err)
	}
}

const writable = 2 // W_OK of access(2)

// existing returns the nearest folder above that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}
