package state

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What a store takes at most. Everything that comes from outside ends up here, so both stores refuse the same things.
const (
	MaxUser   = 512      // bytes of a user name, an owner, a node name or an attempt
	MaxFolder = 4 << 10  // bytes of a folder name
	MaxEngine = 64 << 10 // bytes of Folder.Engine
	MaxReason = 1 << 10  // bytes of a reason; a longer one is cut, never refused
	MaxTokens = 64       // tokens in one Claim
	MaxToken  = 256      // bytes of a token

	MaxSkipped = 1000 // gaps of one folder
)

// CheckName returns ErrInvalid with what is wrong, unless name may name a user, an owner, a node or an attempt.
// Control characters are refused because a name is printed, logged and used as part of a key; so is what is not
// UTF-8, because JSON would change it.
func CheckName(kind, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty: %w", kind, ErrInvalid)
	case len(name) > MaxUser:
		return fmt.Errorf("%s has %d bytes, more than %d: %w", kind, len(name), MaxUser, ErrInvalid)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s is not UTF-8: %w", kind, ErrInvalid)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%s has a control character: %w", kind, ErrInvalid)
	}
	return nil
}

// CheckSpan returns ErrInvalid unless d may be a time to live or a budget.
func CheckSpan(kind string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s of %v: %w", kind, d, ErrInvalid)
	}
	return nil
}

// Check returns ErrInvalid with what is wrong, or nil. A name may be any bytes but NUL, which no IMAP name has.
func (f Folder) Check() error {
	switch {
	case f.Name == "":
		return fmt.Errorf("folder name is empty: %w", ErrInvalid)
	case len(f.Name) > MaxFolder:
		return fmt.Errorf("folder name has %d bytes, more than %d: %w", len(f.Name), MaxFolder, ErrInvalid)
	case len(f.Target) > MaxFolder:
		return fmt.Errorf("folder %q has a name of %d bytes at the target, more than %d: %w", f.Name, len(f.Target), MaxFolder, ErrInvalid)
	case strings.IndexByte(f.Name, 0) >= 0:
		return fmt.Errorf("folder name has a NUL: %w", ErrInvalid)
	case len(f.Skipped) > MaxSkipped:
		return fmt.Errorf("folder %q has %d gaps, more than %d: %w", f.Name, len(f.Skipped), MaxSkipped, ErrInvalid)
	case len(f.Engine) > MaxEngine:
		return fmt.Errorf("engine's note on folder %q has %d bytes, more than %d: %w", f.Name, len(f.Engine), MaxEngine, ErrInvalid)
	}
	return nil
}

// Check returns ErrInvalid with what is wrong, or nil.
func (c Change) Check() error {
	switch c.Fidelity {
	case "", Exact, Translated, Reset:
	default:
		return fmt.Errorf("fidelity %q: %w", c.Fidelity, ErrInvalid)
	}
	if c.Retry < 0 || c.Again < 0 && c.Again != Never || c.Retry != 0 && c.Again != 0 {
		return fmt.Errorf("retry after %v, again after %v: %w", c.Retry, c.Again, ErrInvalid)
	}
	return nil
}

// CheckTokens returns ErrInvalid with what is wrong, or nil.
func CheckTokens(tokens []string) error {
	if len(tokens) > MaxTokens {
		return fmt.Errorf("%d tokens, more than %d: %w", len(tokens), MaxTokens, ErrInvalid)
	}
	for _, t := range tokens {
		if t == "" || len(t) > MaxToken {
			return fmt.Errorf("token of %d bytes, not 1 to %d: %w", len(t), MaxToken, ErrInvalid)
		}
	}
	return nil
}

// CutReason returns reason as a store keeps it: UTF-8, and cut at MaxReason bytes, since much of it is what servers answer.
func CutReason(reason string) string { return cut(reason, MaxReason) }

func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	const end = "…"
	at := most - len(end)
	for !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + end
}
