package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/redisstate"
	"imapferry/state/transfer"
)

// content is a store that can be exported.
type content interface {
	state.Exporter
	Close() error
}

// openContent opens the store that is configured, unless it is yet to be made.
func openContent(ctx context.Context, cfg stateConfig, log *slog.Logger) (content, error) {
	if path, ok := cfg.URL.file(); ok {
		return boltstate.Open(path, boltstate.Options{Existing: true})
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	opts := cfg.redis()
	opts.Log, opts.Existing = log, true
	return redisstate.Open(ctx, string(cfg.URL), opts)
}

func exportState(ctx context.Context, c *call, cfg stateConfig, path string) (err error) {
	from, err := openContent(ctx, cfg, newLog(c.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	var counts transfer.Counts
	err = intoFile(path, c.stdout, func(out io.Writer) error {
		w, err := transfer.NewWriter(out, from.ID())
		if err != nil {
			return err
		}
		if err := from.Export(ctx, w, c.waits); err != nil {
			return err
		}
		counts, err = w.Finish()
		return err
	})
	if err == nil {
		fmt.Fprintf(c.stderr, "exported: %s\n", tellCounts(counts))
	}
	return err
}

// intoFile lets write write to a new file at path, which is on the disk afterwards, or not there after an error; or to stdout.
func intoFile(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == stdio {
		return write(stdout)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = write(out); err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
