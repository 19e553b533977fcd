package testbed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is the mail that a client keeps on disk: path below its folder, which
// in a Maildir carries the flags, to the SHA-256 of the file. Files that a client
// keeps about its own state are no part of it; they change at every run.
type Tree map[string]string

// Changes tells how tree b differs from a, one path per line, sorted.
func (a Tree) Changes(b Tree) []string {
	var lines []string
	for _, path := range union(a, b) {
		was, is := a[path], b[path]
		switch {
		case was == "":
			lines = append(lines, "new: "+path)
		case is == "":
			lines = append(lines, "gone: "+path)
		case was != is:
			lines = append(lines, "other content: "+path)
		}
	}
	return lines
}

// messages is the set of messages by folder and unique name, without the flags
// and without the move from new to cur, which a client makes without fetching.
func (a Tree) messages() map[string]bool {
	set := map[string]bool{}
	for path := range a {
		unique, _, _ := strings.Cut(filepath.Base(path), ":")
		set[filepath.Join(filepath.Dir(filepath.Dir(path)), unique)] = true
	}
	return set
}

// lacking counts what of a is not in b.
func lacking(a, b map[string]bool) int {
	n := 0
	for name := range a {
		if !b[name] {
			n++
		}
	}
	return n
}

// maildirTree reads all files in folders named cur and new below dir.
func maildirTree(dir string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return fs.SkipAll // before the first run
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if parent := filepath.Base(filepath.Dir(path)); !slices.Contains([]string{"cur", "new"}, parent) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sum := sha256.Sum256(text)
		tree[rel] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read maildir: %w", err)
	}
	return tree, nil
}
