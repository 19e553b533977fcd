package testbed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// RedisFiles is what a Redis with AppendOnly had on disk at one moment.
type RedisFiles struct{ byName map[string][]byte }

// appendDir is where redis-server has its append-only files.
const appendDir = "appendonlydir"

// Files copies the append-only files while the server runs. What is written meanwhile may be in the copy or not: such a file
// only grows, and one whose end is cut short is read up to there.
func (r *Redis) Files() (RedisFiles, error) {
	f := RedisFiles{byName: map[string][]byte{}}
	err := filepath.WalkDir(r.file(appendDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f.byName[d.Name()], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("copy the files of %s: %w", r.name, err)
	}
	return f, nil
}

// SetFiles puts such a copy, which may be another server's, in the place of what a stopped server holds.
func (r *Redis) SetFiles(f RedisFiles) error {
	if r.PID() != 0 {
		return fmt.Errorf("set the files of %s: %w", r.name, errRunning)
	}
	err := os.RemoveAll(r.file(appendDir))
	if err == nil {
		err = os.Mkdir(r.file(appendDir), 0o700)
	}
	for name, content := range f.byName {
		if err == nil {
			err = os.WriteFile(filepath.Join(r.file(appendDir), name), content, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("set the files of %s: %w", r.name, err)
	}
	return nil
}
