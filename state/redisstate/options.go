package redisstate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options is what Open may be told. The zero value is right for a Redis of its own.
type Options struct {
	Log      *slog.Logger // for warnings about how Redis is configured; nil is slog.Default
	Password string       // of the URL's user, in place of one in the URL
	TLSCA    string       // PEM file; empty: system roots
	Confirm  int          // how many replicas must have what is written or read before it counts; see confirm.go
	Existing bool         // a Redis without a store is an error, state.ErrAbsent
}

// Validate checks what can be told of a URL and options without a server. Each of its errors begins with the key of the configuration
// that is wrong, as state.url.
func Validate(rawURL string, opts Options) error {
	l, err := parse(rawURL)
	if err != nil {
		return fmt.Errorf("state.url: %w", err)
	}
	var errs []error
	if l.password != "" && opts.Password != "" {
		errs = append(errs, errors.New("state.password: state.url has a password too; keep one"))
	}
	if opts.TLSCA != "" && !l.tls {
		errs = append(errs, errors.New("state.tls_ca: has no meaning without TLS; use a scheme with rediss"))
	}
	if _, err := secure(l, opts); err != nil {
		errs = append(errs, fmt.Errorf("state.tls_ca: %w", err))
	}
	switch {
	case opts.Confirm < 0:
		errs = append(errs, errors.New("state.confirm_replicas: is negative"))
	case opts.Confirm == 0 && l.kind != standalone:
		errs = append(errs, errors.New("state.confirm_replicas: is 0; a replica that is promoted would lack writes that counted, so give the number of replicas that each master has"))
	}
	return errors.Join(errs...)
}

// secure returns the settings of TLS, or nil without it.
func secure(l location, opts Options) (*tls.Config, error) {
	if !l.tls {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.TLSCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(opts.TLSCA)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", opts.TLSCA)
	}
	return c, nil
}

// dialWithin bounds how long a server may take to be connected to.
const dialWithin = 2 * time.Second

// clientOptions returns those of every server. A lost reply does not mean that the script did not run, so the client repeats nothing
// (call.go does what may be); and nothing is dialed again, because by then another server may be the master.
func clientOptions(user, password string, db int, secure *tls.Config) redis.Options {
	return redis.Options{
		Username: user, Password: password, DB: db,
		Dialer: dialer(secure), DialTimeout: dialWithin, DialerRetries: 1, MaxRetries: -1,
		ContextTimeoutEnabled: true,
		PipelinePoolSize:      -1, // everything is a pipeline here, so a second pool for these would take all
		Protocol:              2,  // nothing of the newer one is needed, and older servers and proxies know this one
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer is needed because the client's own does not end a TLS handshake with its context, and does not say what it is at.
func dialer(secure *tls.Config) dialFunc {
	plain := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	if secure == nil {
		return plain.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := secure.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
		over := tls.Client(conn, config)
		if err := over.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
		}
		return over, nil
	}
}
