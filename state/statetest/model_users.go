package statetest

import (
	"maps"
	"slices"

	"imapferry/state"
)

func (m *model) retry(user string) error {
	a := m.users[user]
	switch {
	case a == nil:
		return state.ErrUnknown
	case a.Phase == state.Finalized:
		return state.ErrPhase
	case a.Phase == state.Held:
		a.Phase, a.Reason, a.Attempts, a.nextTry, a.since = state.Pending, "", 0, 0, m.now
	case a.nextTry > m.now, a.Phase == state.Migrated && a.nextTry == 0:
		a.nextTry = m.now
	}
	return nil
}

func (m *model) park(user string) error {
	a := m.users[user]
	switch {
	case a == nil:
		return state.ErrUnknown
	case a.Phase.OnTarget():
		return state.ErrPhase
	}
	a.Park = true
	return nil
}

func (m *model) releaseUser(user string) error {
	a := m.users[user]
	switch {
	case a == nil:
		return state.ErrUnknown
	case a.Phase.OnTarget():
		return state.ErrPhase
	}
	a.Released = true
	if a.nextTry > m.now {
		a.nextTry = m.now
	}
	return nil
}

func (m *model) tally(user string, moved int64, ended map[string]int64) error {
	a := m.users[user]
	if a == nil {
		return state.ErrUnknown
	}
	a.Moved += moved
	for _, reason := range slices.Sorted(maps.Keys(ended)) {
		n := ended[reason]
		if n == 0 {
			continue
		}
		if a.Ended[reason] == 0 {
			others := 0
			for have := range a.Ended {
				if have != state.EndedOther {
					others++
				}
			}
			if others == state.MaxEnded-1 {
				reason = state.EndedOther
			}
		}
		if a.Ended == nil {
			a.Ended = map[string]int64{}
		}
		a.Ended[reason] += n
		a.Disconnected += n
	}
	return nil
}
