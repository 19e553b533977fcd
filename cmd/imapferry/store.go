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
	"imapferry/state/redisstate"
)

// openStore opens the store that url names. It warns of settings by which the store may lose what it has confirmed.
func openStore(ctx context.Context, url stateURL, log *slog.Logger) (state.Store, error) {
	if path, ok := url.file(); ok {
		return openFile(path)
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	store, err := redisstate.Open(ctx, string(url), redisstate.Options{Log: log})
	if err != nil {
		return nil, err // not store, which would be an interface around nil
	}
	return store, nil
}

const openWithin = 20 * time.Second

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
