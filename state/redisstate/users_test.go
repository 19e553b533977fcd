package redisstate_test

import (
	"fmt"
	"slices"
	"testing"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// A shard is asked for its fair share of users only. Where one has them all, they are all found nevertheless, in order.
func TestAllInOneShard(t *testing.T) {
	t.Parallel()
	s := open(t, server(t).URL())
	ctx := t.Context()
	var users []string
	for i := 0; len(users) < 150; i++ {
		if u := fmt.Sprintf("user%05d", i); redisstate.Shard(u) == 7 {
			_, err := s.Offer(ctx, u)
			must(t, err)
			users = append(users, u)
		}
	}
	for _, limit := range []int{1, 20, 149, 150, 151} {
		want := users[:min(limit, len(users))]
		due, err := s.Due(ctx, limit)
		must(t, err)
		if !slices.Equal(due, want) {
			t.Errorf("Due(%d) = %q, want %q", limit, due, want)
		}
		page, err := s.List(ctx, state.Pending, "", limit)
		must(t, err)
		var listed []string
		for _, r := range page {
			listed = append(listed, r.User)
		}
		if !slices.Equal(listed, want) {
			t.Errorf("List(%d) = %q, want %q", limit, listed, want)
		}
	}
}
