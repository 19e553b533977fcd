package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/journal"
	"imapferry/state/redisstate"
)

// openStore opens the store that is configured. It warns of settings by which the store may lose what it has confirmed.
func openStore(ctx context.Context, cfg stateConfig, log *slog.Logger) (state.Store, error) {
	if path, ok := cfg.URL.file(); ok {
		return openFile(path)
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	opts := cfg.redis()
	opts.Log = log
	store, err := redisstate.Open(ctx, string(cfg.URL), opts)
	if err != nil {
		return nil, err // not store, which would be an interface around nil
	}
	return store, nil
}

const openWithin = 20 * time.Second

// redis returns how a Redis is entered and when it is believed.
func (c stateConfig) redis() redisstate.Options {
	return redisstate.Options{Password: string(c.Password), TLSCA: c.TLSCA, Confirm: c.ConfirmReplicas}
}

// defaultJournal is the journal of a node whose state is not in a file.
const defaultJournal = "/var/lib/imapferry/journal.db"

// journalPath returns the file in which this node notes switches.
func (c stateConfig) journalPath() string {
	if c.Journal != "" {
		return c.Journal
	}
	if path, ok := c.URL.file(); ok {
		return path + ".journal"
	}
	return defaultJournal
}

// openJournal makes the folder of the journal if need be.
func openJournal(path string) (*journal.Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return journal.Open(path)
}

// openFile makes the folder of the file if need be.
func openFile(path string) (state.Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	store, err := boltstate.Open(path, boltstate.Options{})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// file returns the path of a store that is a file.
func (u stateURL) file() (path string, ok bool) {
	path, ok = strings.CutPrefix(string(u), "bolt:")
	return strings.TrimPrefix(path, "//"), ok // bolt:///path means the same
}
