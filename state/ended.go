package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of what a record keeps of why sessions ended, so that a record stays small whatever the relay says.
const (
	MaxEnded     = 16      // reasons of one record, EndedOther included
	MaxEndedWord = 32      // bytes of a reason
	EndedOther   = "other" // under which further reasons are added up
)

// CheckTally returns ErrInvalid with what is wrong, unless moved and ended may be added to a record. A reason is of lower-case
// letters, digits and "-".
func CheckTally(moved int64, ended map[string]int64) error {
	if moved < 0 {
		return fmt.Errorf("%d sessions moved: %w", moved, ErrInvalid)
	}
	for reason, n := range ended {
		switch {
		case reason == "" || len(reason) > MaxEndedWord:
			return fmt.Errorf("reason of %d bytes, not 1 to %d: %w", len(reason), MaxEndedWord, ErrInvalid)
		case strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
			return fmt.Errorf("reason %q: %w", reason, ErrInvalid)
		case n < 0:
			return fmt.Errorf("%d sessions ended by reason %s: %w", n, reason, ErrInvalid)
		}
	}
	return nil
}

// AddEnded adds ended, in order of the reasons, to r.Ended and r.Disconnected. A reason that would be one too many is EndedOther,
// for which a place is always kept. The map is a new one if it changes: records are copied.
func (r *Record) AddEnded(ended map[string]int64) {
	fresh := maps.Clone(r.Ended)
	for _, reason := range slices.Sorted(maps.Keys(ended)) {
		n := ended[reason]
		if n == 0 {
			continue
		}
		if fresh == nil {
			fresh = map[string]int64{}
		}
		if _, known := fresh[reason]; !known && full(fresh) {
			reason = EndedOther
		}
		fresh[reason] += n
		r.Disconnected += n
	}
	r.Ended = fresh
}

// full reports whether no reason but EndedOther may be added.
func full(ended map[string]int64) bool {
	named := len(ended)
	if _, ok := ended[EndedOther]; ok {
		named--
	}
	return named >= MaxEnded-1
}
