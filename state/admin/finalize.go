package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"imapferry/state"
)

// What finalizing demands, so that no mail stays behind in a source that will be deleted.
const (
	passWithin = 2 * time.Hour  // the last straggler pass; passes are at most an hour apart
	quietFor   = 24 * time.Hour // since the switch, and without a straggler
)

// finalizeWithin bounds the lease; the write takes a moment.
const finalizeWithin = patience

// finalize ends all work on a migrated user. With force nothing but the phase counts.
func (s *Server) finalize(r *http.Request) (any, error) {
	name, err := s.named(r)
	if err != nil {
		return nil, err
	}
	force, err := asked(r, "force")
	if err != nil {
		return nil, err
	}
	rec, err := s.finalizeUser(r.Context(), name, force)
	if err != nil {
		return nil, err
	}
	s.Log.Info("phase", "user", name, "from", state.Migrated, "to", rec.Phase, "force", force)
	s.Notify(name)
	return s.shown(rec), nil
}

// finalizeUser takes the lease, so that no pass is under way.
func (s *Server) finalizeUser(ctx context.Context, user string, force bool) (state.Record, error) {
	rec, err := s.Store.Get(ctx, user)
	if err == nil {
		err = mayFinalize(rec, force)
	}
	if err != nil {
		return rec, err
	}
	lease, rec, err := s.Store.Acquire(ctx, user, "operator/"+rand.Text()[:8], finalizeWithin)
	if err != nil {
		return rec, err
	}
	if err = mayFinalize(rec, force); err == nil {
		rec, err = s.Store.Advance(ctx, lease, state.Finalized, state.Change{})
	}
	if released := s.Store.Release(ctx, lease); err == nil && released != nil {
		s.Log.Warn("giving back the lease", "user", user, "err", released)
	}
	return rec, err
}

// mayFinalize tells what stands against it.
func mayFinalize(rec state.Record, force bool) error {
	refuse := func(format string, args ...any) error {
		return fault{http.StatusConflict, rec.User + " cannot be finalized: " + fmt.Sprintf(format, args...)}
	}
	ago := func(t time.Time) time.Duration { return time.Since(t).Round(time.Second) }
	switch {
	case rec.Phase == state.Finalized:
		return refuse("the user is finalized already")
	case rec.Phase != state.Migrated:
		return refuse("the phase is %s, not %s", rec.Phase, state.Migrated)
	case force:
		return nil
	case rec.StragglersLeft > 0:
		return refuse("%d stragglers could not be brought over; `imapferry exceptions` says which and why", rec.StragglersLeft)
	case rec.LastPass.IsZero():
		return refuse("nobody has looked for stragglers so far; `imapferry retry` makes the next pass due, where passwords are needed at the next login")
	case time.Since(rec.LastPass) > passWithin:
		return refuse("the last look for stragglers is %s ago; `imapferry retry` makes the next pass due, where passwords are needed at the next login", ago(rec.LastPass))
	case time.Since(rec.Migrated) < quietFor:
		return refuse("the switch was %s ago; have the MTA deliver to the target, and wait until there was no straggler for %s", ago(rec.Migrated), quietFor)
	case !rec.LastStraggler.IsZero() && time.Since(rec.LastStraggler) < quietFor:
		return refuse("the last straggler was found %s ago; have the MTA deliver to the target, and wait until there was none for %s", ago(rec.LastStraggler), quietFor)
	}
	return nil
}
