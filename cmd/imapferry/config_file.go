package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a TOML file: the keys that it gives, in order, and where its sections begin.
type document struct {
	settings []setting
	sections map[string]int
}

type setting struct {
	key   string
	line  int
	value any
}

// layer returns what the file gives.
func (d *document) layer(path string) []given {
	var all []given
	for _, s := range d.settings {
		all = append(all, given{s.key, at(path, s.line), s.value})
	}
	return all
}

// parseDocument reads all keys with their lines. The decoder of the library would stop at the first value of a wrong
// kind and knows lines only for its own errors, so the values come from it as a map and the lines from its parser.
func parseDocument(path string, text []byte) (*document, error) {
	var values map[string]any
	err := toml.Unmarshal(text, &values)
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, _ := syntax.Position()
		return nil, problem{at(path, line), strings.Join(syntax.Key(), "."), strings.TrimPrefix(syntax.Error(), "toml: ") + "; the file is not TOML here"}
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	lines := keyLines(text)
	doc := &document{sections: lines}
	doc.flatten("", values, lines)
	slices.SortStableFunc(doc.settings, func(a, b setting) int { return a.line - b.line })
	return doc, nil
}

// flatten lists the keys of one section. What is no section of ours stays whole, and is unknown under its own name.
func (d *document) flatten(section string, values map[string]any, lines map[string]int) {
	for name, value := range values {
		key := strings.TrimPrefix(section+"."+name, ".")
		line := lines[key]
		if line == 0 {
			line = lines[section] // inside an inline table, which is one line
		}
		if table, ok := value.(map[string]any); ok && slices.Contains(sections, key) {
			if lines[key] == 0 {
				lines[key] = line
			}
			d.flatten(key, table, lines)
			continue
		}
		d.settings = append(d.settings, setting{key, line, value})
	}
}

// sections are those that the file may have.
var sections = []string{"listen", "tls", "tls.acme", "state", "users", "auth", "source", "target", "migrate"}

// keyLines finds the line of every key and section of a text that has been parsed before. A section that only its
// parts name begins with the first of them.
func keyLines(text []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(text)
	var section []string
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			section = note(&p, e, nil, lines)
		} else if e.Kind == unstable.KeyValue {
			note(&p, e, section, lines)
		}
	}
	return lines
}

// note writes down where the key of e is, below section, and returns its full name.
func note(p *unstable.Parser, e *unstable.Node, section []string, lines map[string]int) []string {
	name := slices.Clone(section)
	for it := e.Key(); it.Next(); {
		name = append(name, string(it.Node().Data))
		if key := strings.Join(name, "."); lines[key] == 0 {
			lines[key] = p.Shape(it.Node().Raw).Start.Line
		}
	}
	return name
}
