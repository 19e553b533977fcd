package redisstate

import "context"

// OpenThrough is Open with connections that something stands between.
func OpenThrough(ctx context.Context, rawURL string, opts Options, through func(dialFunc) dialFunc) (*Store, error) {
	l, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	s, err := connect(l, opts)
	if err != nil {
		return nil, err
	}
	s.servers.opts.Dialer = through(s.servers.opts.Dialer)
	return s, s.begin(ctx, opts.Log, l.name)
}

// Shard tells which users are together.
var Shard = shard
