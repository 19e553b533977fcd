package redisstate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Sentinel or a server that is cut off from the rest goes on naming the old master. It is not believed, whoever answers first.
func TestNewest(t *testing.T) {
	ask := func(_ context.Context, addr string) (*table, error) {
		switch addr {
		case "old":
			return whole("a", 3), nil
		case "new":
			return whole("b", 4), nil
		}
		return nil, errors.New("is away")
	}
	for _, addrs := range [][]string{{"old", "new"}, {"new", "old"}, {"x", "old", "new", "y"}} {
		got, err := newest(t.Context(), addrs, ask)
		if err != nil || got.masters()[0] != "b" {
			t.Errorf("of %v: %+v, %v", addrs, got, err)
		}
	}
	if _, err := newest(t.Context(), []string{"x", "y"}, ask); err == nil || !strings.Contains(err.Error(), "x: is away; y: is away") {
		t.Errorf("of none: %v", err)
	}
}

// What is under way at a server that is no master any more ends when that is known: it may never answer.
func TestServersKeep(t *testing.T) {
	s := newServers(redis.Options{})
	defer s.close()
	old, err := s.at("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	s.keep([]string{"127.0.0.1:2"})
	if err := old.Ping(t.Context()).Err(); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("ping: %v", err)
	}
}
