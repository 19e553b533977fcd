package statetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"imapferry/state"
)

func testClaim(r *rig) {
	claim := func(user, want string, tokens ...string) {
		r.Helper()
		other, err := r.Store.Claim(r.ctx, user, tokens)
		r.must(err)
		if other != want {
			r.Errorf("%s claims %q: bound to %q, want %q", user, tokens, other, want)
		}
	}
	claim("alice", "", "v1 17", "v1 18")
	claim("alice", "", "v1 17", "v1 18")
	claim("alice", "", "v1 18", "v1 19")
	claim("bob", "alice", "v2 1", "v1 19", "v2 2")
	claim("carol", "", "v2 1", "v2 2") // so nothing was bound to bob
	claim("bob", "carol", "v2 2", "v1 17")
	claim("bob", "alice", "v1 17", "v2 2")
	claim("bob", "")
	claim("bob", "", "\x00\xff raw", "{07}")
	claim("alice", "bob", "\x00\xff raw")
	claim("bob", "", "twice", "twice")
	claim("bob", "", "mark", "id", "import") // names that a store may use itself
	if _, err := r.Store.Get(r.ctx, "alice"); err == nil {
		r.Error("a claim made a user known")
	}
}

// Of many who claim one mailbox at once exactly one gets it, and all others hear that one's name.
func testClaimRace(r *rig) {
	const many = 20
	var mu sync.Mutex
	heard := map[string][]string{}
	r.together(many, func(i int) error {
		user := fmt.Sprintf("u%02d", i)
		tokens := []string{"a", "b", "c"}
		if i%2 == 1 {
			slices.Reverse(tokens)
		}
		other, err := r.Store.Claim(r.ctx, user, tokens)
		mu.Lock()
		defer mu.Unlock()
		heard[other] = append(heard[other], user)
		return err
	})
	if len(heard[""]) != 1 || len(heard) != 2 || len(heard[heard[""][0]]) != many-1 {
		r.Errorf("who heard what: %q", heard)
	}
}

func testClaimInvalid(r *rig) {
	for _, tokens := range [][]string{{""}, {"a", ""}, {strings.Repeat("a", state.MaxToken+1)}, make([]string, state.MaxTokens+1)} {
		_, err := r.Store.Claim(r.ctx, "alice", tokens)
		r.want(fmt.Sprintf("claim %d tokens", len(tokens)), err, state.ErrInvalid)
	}
	if other, err := r.Store.Claim(r.ctx, "bob", []string{"a"}); other != "" || err != nil {
		r.Errorf("after refused claims a token is bound to %q, %v", other, err)
	}
}

// together calls f many times at once and ends the test at an error.
func (r *rig) together(many int, f func(i int) error) {
	r.Helper()
	var wg sync.WaitGroup
	errs := make([]error, many)
	for i := range many {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	for _, err := range errs {
		r.must(err)
	}
}
