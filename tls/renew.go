package tls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// background orders what is missing and has renewed what is due, until the
// context ends.
func (o *ordered) background(ctx context.Context) {
	var retry time.Time
	pause := firstRetry
	for first := true; ; first = false {
		if !time.Now().Before(retry) {
			if o.order(ctx) {
				pause = firstRetry
			} else {
				retry = time.Now().Add(pause)
				pause = min(2*pause, lastRetry)
			}
		}
		if first {
			close(o.tried)
		}
		look := o.renew(ctx)
		if wait := time.Until(retry); wait > 0 {
			look = min(look, wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
			retry = time.Time{}
		case <-time.After(look):
		}
	}
}

// order gets a certificate for every name that has none, in the foreground:
// certmagic's own background jobs can be neither awaited nor hurried. A name
// that fails does not keep the others from theirs.
func (o *ordered) order(ctx context.Context) bool {
	complete := true
	for _, name := range o.domains {
		if o.cached(name) != nil {
			continue
		}
		err := o.magic.ManageSync(ctx, []string{name})
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			err = fmt.Errorf("order certificate: %w", advise(err))
			complete = false
			o.log.Error("certificate not obtained", "name", name, "error", err)
		}
		o.setProblem(name, err)
	}
	return complete
}

// renew queues what is due with certmagic, which de-duplicates and paces
// the attempts, and returns when to look again.
func (o *ordered) renew(ctx context.Context) time.Duration {
	look := longestLook
	for _, name := range o.domains {
		if cert := o.cached(name); cert != nil {
			look = min(look, lookInterval(cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)))
		}
	}
	if look != o.options.RenewCheckInterval {
		o.options.RenewCheckInterval = look
		o.cache.SetOptions(o.options)
	}
	if err := o.cache.RenewManagedCertificates(ctx); err != nil {
		o.log.Warn("certificates not checked for renewal", "error", err)
	}
	return look
}

// lookInterval is how long a certificate with that life goes unwatched.
func lookInterval(life time.Duration) time.Duration {
	return min(max(life/looksPerLife, shortestLook), longestLook)
}

// event hears from certmagic. Renewals run in its own jobs, so this is the only
// place where their outcome shows. It must return quickly.
func (o *ordered) event(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	switch event {
	case "cert_obtained":
		o.setProblem(name, nil)
		o.log.Info("certificate obtained", "name", name, "renewal", renewal)
	case "cert_failed":
		if err, ok := data["error"].(error); ok && renewal {
			err = fmt.Errorf("renew certificate: %w", advise(err))
			o.setProblem(name, err)
			o.log.Warn("certificate not renewed; the old one is served until it expires", "name", name, "error", err)
		}
	}
	return nil
}

// advise adds what an operator can do about the failures that are made by
// configuration.
func advise(err error) error {
	var problem acme.Problem
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; if the CA is a private one, set tls.acme.root_ca to its root certificate", err)
	case !errors.As(err, &problem):
		return err
	}
	switch problem.Type {
	case acme.ProblemTypeExternalAccountRequired:
		return fmt.Errorf("%w; the CA demands an account of its own: set tls.acme.eab_kid and tls.acme.eab_key", err)
	case acme.ProblemTypeConnection, acme.ProblemTypeDNS, acme.ProblemTypeTLS, acme.ProblemTypeUnauthorized:
		return fmt.Errorf("%w; the CA must reach this host by that name, on port 80 for tls.acme.http_port or on port 443 for tls.acme.alpn_port", err)
	}
	return err
}
