package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// openStore opens the store that url names. The folder of a file is made if need be.
func openStore(ctx context.Context, url stateURL) (state.Store, error) {
	path, ok := url.file()
	if !ok {
		return nil, fmt.Errorf("open state: redis")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	store, err := boltstate.Open(path, boltstate.Options{})
	if err != nil {
		return nil, err // not store, which would be an interface around nil
	}
	return store, nil
}

// file returns the path of a store that is a file.
func (u stateURL) file() (path string, ok bool) {
	path, ok = strings.CutPrefix(string(u), "bolt:")
	return strings.TrimPrefix(path, "//"), ok // bolt:///path means the same
}
