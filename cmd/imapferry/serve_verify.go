package main

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/migrate"
	"imapferry/state"
	"imapferry/state/admin"
)

// verifyLine is one line of what a running node answers to verify. One field is set.
type verifyLine struct {
	At         *verifyAt           `json:"at,omitempty"`
	Difference *migrate.Difference `json:"difference,omitempty"`
	Summary    *migrate.Summary    `json:"summary,omitempty"` // the last line, also of a comparison that could not be ended
}

// verifyAt tells that a folder's turn has come.
type verifyAt struct {
	Folder string `json:"folder"`
	Number int    `json:"number"` // from 1
	Of     int    `json:"of"`
}

var errStopping = errors.New("imapferry is stopping")

// verifier lets operators verify users, until ending is done.
func verifier(ending context.Context, engine *migrate.Engine) admin.Verifier {
	return func(ctx context.Context, user string, ask admin.VerifyRequest, report func(any)) error {
		bodies, err := bodiesOf(ask.Bodies)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(ending, func() { cancel(errStopping) })()
		begun := false
		sum, err := engine.Verify(ctx, user, migrate.VerifyOptions{
			Bodies: bodies, From: ask.From,
			At: func(folder string, i, of int) {
				begun = true
				report(verifyLine{At: &verifyAt{folder, i + 1, of}})
			},
		}, func(d migrate.Difference) { report(verifyLine{Difference: &d}) })
		if err == nil || begun {
			report(verifyLine{Summary: &sum})
		}
		if errors.Is(err, migrate.ErrNoFolder) || errors.Is(err, backend.ErrNoSecret) {
			return invalid{err}
		}
		return err
	}
}

func bodiesOf(word string) (migrate.Verify, error) {
	switch v := migrate.Verify(word); v {
	case migrate.VerifyAll, migrate.VerifySample, migrate.VerifyNone:
		return v, nil
	case "":
		return migrate.VerifySample, nil
	}
	return "", fmt.Errorf("bodies %q: %w; use all, sample or none", word, state.ErrInvalid)
}
