package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// given is one value of a layer.
type given struct {
	key   string
	place string
	value any // what TOML gave, or environment text
}

// environment text is converted to the kind of its key.
type envText string

// apply sets what one layer gives over what the layers before it gave.
func (l *loader) apply(layer []given) {
	secrets := map[string]given{}
	for _, g := range layer {
		name, field := g.key, l.keys[g.key]
		inFile := false
		if !field.IsValid() {
			if name, inFile = l.keys.secretOf(g.key); !inFile {
				l.complain(g.place, g.key, "%s", l.unknown(g))
				continue
			}
			field = l.keys[name]
		}
		if secret(field) {
			if other, twice := secrets[name]; twice {
				l.complain(g.place, g.key, "given together with %s at %s; keep one", other.key, other.place)
			}
			secrets[name] = g
		}
		l.places[name], l.places[g.key] = g.place, g.place
		if err := l.set(name, g, inFile); err != nil {
			l.complain(g.place, g.key, "%v", err)
		}
	}
}

func (l *loader) set(name string, g given, inFile bool) error {
	text, env := g.value.(envText)
	switch {
	case inFile:
		path, ok := g.value.(string)
		if env {
			path, ok = string(text), true
		}
		if !ok {
			return wrongKind("the name of a file in quotes", g.value)
		}
		content, err := readSecret(path)
		if err != nil {
			return err
		}
		return set(l.keys[name], content)
	case env:
		return setText(l.keys[name], string(text))
	}
	return set(l.keys[name], g.value)
}

// readSecret reads a secret's file. Editors and echo end it with a newline, which is no part of the secret.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if s == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return s, nil
}

const envPrefix = "IMAPFERRY_"

// variable names the environment variable that stands for key.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// environment returns what the environment gives. A variable that is empty counts as not given, because container
// tools hand on unset ones that way. One that begins as a section does and is no key is an error, as it would be in the file.
func (l *loader) environment(environ []string) []given {
	keys := map[string]string{}
	for _, key := range l.keys.names() {
		keys[variable(key)] = key
	}
	var all []given
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if text == "" || !ofSection(name) {
			continue
		}
		key := keys[name]
		if key == "" {
			key = strings.Replace(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", ".", 1)
		}
		all = append(all, given{key, "environment " + name, envText(text)})
	}
	return all
}

func ofSection(name string) bool {
	for _, s := range sections {
		if strings.HasPrefix(name, variable(s)+"_") {
			return true
		}
	}
	return false
}

// unknown says what to do about a key that does not exist.
func (l *loader) unknown(g given) string {
	if slices.Contains(sections, g.key) {
		return "is a section; write it as [" + g.key + "]"
	}
	best, distance := "", 4
	last := g.key[strings.LastIndex(g.key, ".")+1:]
	for _, key := range slices.Concat(l.keys.names(), sections) {
		d := edits(g.key, key)
		if d > 1 && key[strings.LastIndex(key, ".")+1:] == last {
			d = 1 // the right key in the wrong section
		}
		if d < distance || d == distance && d == 1 && parent(key) == parent(g.key) {
			best, distance = key, d
		}
	}
	if best != "" && distance <= max(1, len(last)/2) {
		return fmt.Sprintf("unknown key; did you mean %s?", best)
	}
	if s := parent(g.key); s != "" {
		return fmt.Sprintf("unknown key; remove it (known in [%s]: %s)", s, strings.Join(l.keys.in(s), ", "))
	}
	return fmt.Sprintf("unknown section or key; remove it (known sections: %s)", strings.Join(sections, ", "))
}

func parent(key string) string {
	i := strings.LastIndex(key, ".")
	if i < 0 {
		return ""
	}
	return key[:i]
}

// in lists the keys of one section.
func (t keyTable) in(section string) []string {
	var all []string
	for _, name := range t.names() {
		if parent(name) == section {
			all = append(all, strings.TrimPrefix(name, section+"."))
		}
	}
	return all
}

// edits counts the letters to insert, delete or replace that lead from a to b (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above+1, row[j]+1, diagonal+cost)
			diagonal = above
		}
	}
	return row[len(b)]
}
