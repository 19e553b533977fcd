package redisstate

import (
	"context"
	"time"
)

// OpenThrough is Open with connections that something stands between.
func OpenThrough(ctx context.Context, rawURL string, opts Options, through func(dialFunc) dialFunc) (*Store, error) {
	s, name, err := connectThrough(rawURL, opts, through)
	if err != nil {
		return nil, err
	}
	return s, s.begin(ctx, opts, name)
}

// StartImportThrough is StartImport with connections that something stands between, and with parts that hold one piece each. After an error the
// import is there to be closed.
func StartImportThrough(ctx context.Context, rawURL, id string, opts Options, through func(dialFunc) dialFunc) (*Import, error) {
	s, _, err := connectThrough(rawURL, opts, through)
	if err != nil {
		return nil, err
	}
	i := newImport(s, id)
	i.fill.limit = 1
	return i, i.take(ctx, func(string, time.Duration) {})
}

func connectThrough(rawURL string, opts Options, through func(dialFunc) dialFunc) (*Store, string, error) {
	l, err := parse(rawURL)
	if err != nil {
		return nil, "", err
	}
	s, err := connect(l, opts)
	if err != nil {
		return nil, "", err
	}
	s.servers.opts.Dialer = through(s.servers.opts.Dialer)
	return s, l.name, nil
}

// Shard tells which users are together.
var Shard = shard
