package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/redisstate"
	"imapferry/state/transfer"
)

func importState(ctx context.Context, c *call, cfg stateConfig, path string) error {
	in := os.Stdin
	if path != stdio {
		var err error
		if in, err = os.Open(path); err != nil {
			return err
		}
		defer in.Close()
	}
	from, err := transfer.NewReader(in) // before the store is touched
	if err != nil {
		return err
	}
	into, err := c.startImport(ctx, cfg, from.Store())
	if err != nil {
		return err
	}
	counts, err := from.Into(ctx, into)
	if err == nil {
		err = into.Finish(ctx)
	}
	if err = errors.Join(err, into.Close()); err != nil {
		return fmt.Errorf("%w; no node starts on the store before an import has ended", err)
	}
	fmt.Fprintf(c.stdout, "imported: %s\n", tellCounts(counts))
	return nil
}

// startImport begins to fill the store that is configured.
func (c *call) startImport(ctx context.Context, cfg stateConfig, id string) (state.Import, error) {
	path, ok := cfg.URL.file()
	if !ok {
		opts := cfg.redis()
		opts.Log = newLog(c.stderr)
		into, err := redisstate.StartImport(ctx, string(cfg.URL), id, opts, c.waits)
		if err != nil {
			return nil, err // not into, which would be an interface around nil
		}
		return into, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	into, err := boltstate.StartImport(path, id)
	if err != nil {
		return nil, err
	}
	return into, nil
}
