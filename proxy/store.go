package proxy

import (
	"context"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// Store is what sessions and the node need of a state.Store, which satisfies it.
type Store interface {
	Get(ctx context.Context, user string) (state.Record, error)
	Folders(ctx context.Context, user string) ([]state.Folder, error)
	Tally(ctx context.Context, user string, moved int64, ended map[string]int64) error
	Watch(ctx context.Context) <-chan string

	Acknowledge(ctx context.Context, node state.Node, h state.Hold, sessions int, touched []state.Touched) error
	CallOff(ctx context.Context, l state.Lease, attempt, reason string) error

	Join(ctx context.Context, name string, ttl time.Duration, former ...string) (state.Node, error)
	Beat(ctx context.Context, n state.Node, ttl time.Duration) error
	Leave(ctx context.Context, n state.Node) error
	Inbox(ctx context.Context, n state.Node) ([]state.Hold, error)

	Doubt(ctx context.Context) (state.Doubt, error)
	NotSwitched(ctx context.Context, users []string) ([]string, error)
	Repair(ctx context.Context, rec state.Record, folders []state.Folder) (state.Record, error)
	Ready(ctx context.Context, node string, d state.Doubt, roster []string) error
	Post(ctx context.Context, n state.Node, d state.Doubt) error
}

// Offerer is told of every user who has proven its secret, so that the engine can move the user. It must not block.
type Offerer interface {
	Offer(user string, secret backend.Secret)
}
