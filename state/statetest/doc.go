// Package statetest is the contract of state.Store in code. A store passes Run or is none.
//
//	func TestStore(t *testing.T) {
//		statetest.Run(t, func(t *testing.T) *statetest.Harness { … })
//	}
//
// Each theme has a file. Most tests set a scene by hand and look at every answer; the test Random (random.go)
// compares a store with a model of the contract over long random histories.
//
// # Time
//
// Some stores keep time themselves and cannot be given a clock. So nothing here depends on being quick: what must
// last in a test lasts Long, what must end has Short, and nothing is asserted of the Short before it has passed.
// Harness.Pass returns when a time has passed by the store's own clock, whether it was moved or waited for.
package statetest
