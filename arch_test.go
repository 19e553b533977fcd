// Package imapferry_test holds what is true of the module as a whole: who may import whom, and how long a file may be.
package imapferry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "imapferry/"

// arrows says which packages of ours a package may import; a package stands for those below it too, unless they are
// named themselves. The proxy and the engine do not know each other: they meet in the store.
var arrows = map[string][]string{
	"cmd":                {"proxy", "migrate", "state", "state/boltstate", "state/redisstate", "state/transfer", "state/journal", "state/admin", "tls", "internal"},
	"proxy":              {"state", "state/journal", "internal/wire", "internal/backend"},
	"migrate":            {"state", "state/journal", "internal/wire", "internal/backend"},
	"state":              {},
	"state/boltstate":    {"state"},
	"state/redisstate":   {"state"},
	"state/transfer":     {"state"},
	"state/journal":      {"state"},
	"state/admin":        {"state"},
	"state/statetest":    {"state"},
	"tls":                {},
	"internal/backend":   {"internal/wire"},
	"internal/wire":      {},
	"internal/testbed":   {},
	"internal/memimap":   {},
	"internal/imapmodel": {},
}

// testArrows says which tests may not import what, beside the rules above, from which tests are free.
var testArrows = map[string][]string{
	"proxy":   {"migrate", "cmd"},
	"migrate": {"proxy", "cmd"},
}

type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}

// owner finds the entry of arrows that pkg belongs to.
func owner(pkg string) string {
	for p := pkg; p != "."; p = filepath.Dir(p) {
		if _, ok := arrows[p]; ok {
			return p
		}
	}
	return ""
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func TestImportArrows(t *testing.T) {
	for _, p := range packages(t) {
		from, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue // the root, which has tests alone
		}
		rule := owner(from)
		if rule == "" {
			t.Errorf("%s: no arrow says what it may import; add it to arrows", from)
		}
		for _, path := range p.Imports {
			to, ours := strings.CutPrefix(path, module)
			if ours && owner(to) != rule && !allowed(arrows[rule], to) {
				t.Errorf("bad arrow: %s -> %s; %s may import only %q", from, to, rule, arrows[rule])
			}
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			to := strings.TrimPrefix(path, module)
			if slices.ContainsFunc(testArrows[rule], func(tree string) bool { return within(to, tree) }) {
				t.Errorf("bad arrow: tests of %s -> %s", from, to)
			}
		}
	}
}

// allowed takes a tree for all that is below it, but what has an entry of its own.
func allowed(trees []string, to string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool {
		return to == tree || within(to, tree) && (owner(to) == tree || tree == "internal")
	})
}

const maxLines = 400

func TestNoLongFiles(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d; split it by subject", path, n, maxLines)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
