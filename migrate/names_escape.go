package migrate

import (
	"strings"
	"sync"
	"unicode"

	"imapferry/internal/wire"
)

// escapes are folders that the target does not take under their mapped names, such as cur, ~x or a%b with some servers. Where
// the operator allows other names, they have every odd byte escaped there, and if there is none the first of the last level.
// state.Folder.Target remembers them.
type escapes struct {
	mu       sync.RWMutex
	to, from map[string]string // from the engine's names to the target's, and back
}

func (e *escapes) add(folder, there string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.to == nil {
		e.to, e.from = map[string]string{}, map[string]string{}
	}
	e.to[folder], e.from[there] = there, folder
}

func (e *escapes) remove(folder string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.from, e.to[folder])
	delete(e.to, folder)
}

// there returns the target's name for an escaped folder, and here the inverse.
func (e *escapes) there(folder string) (string, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	there, ok := e.to[folder]
	return there, ok
}

func (e *escapes) here(there string) (string, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	folder, ok := e.from[there]
	return folder, ok
}

// usual are the bytes that every server takes in a name; & only where it begins what modified UTF-7 writes so.
const usual = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-+,"

// strict returns the target's name for a folder with every odd byte of each level escaped.
func (m mapping) strict(folder string) string {
	bytes, odd := usual, false
	if utf8, err := wire.DecodeName(folder); err == nil && !strings.ContainsFunc(utf8, unicode.IsControl) {
		bytes += "&"
	}
	s := m.write(folder, func(level string) string {
		strict := strictLevel(level, bytes)
		odd = odd || strict != level
		return strict
	})
	if odd {
		return s
	}
	last := strings.LastIndexByte(s, m.dst.sep) + 1
	if m.dst.sep == 0 {
		last = len(m.dst.prefix)
	}
	if last == len(s) {
		return s
	}
	return s[:last] + escaped(s[last]) + s[last+1:]
}

func strictLevel(level, bytes string) string {
	var b strings.Builder
	for i := range len(level) {
		edge := i == 0 || i == len(level)-1
		if c := level[i]; strings.IndexByte(bytes, c) < 0 || c == ' ' && edge {
			b.WriteString(escaped(c))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escape gives a folder that the target has refused its strict name, where that is allowed and no other folder's.
func (w *worker) escape(folder string) bool {
	strict := w.dstView.names.strict(folder)
	if !w.e.cfg.allows(ClassNames) || w.surveyed.has(w.dstView.here(strict)) {
		return false
	}
	w.dstView.escapes.add(folder, strict)
	return true
}
