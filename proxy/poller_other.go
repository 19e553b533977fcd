//go:build !linux

package proxy

// poller watches nothing here: sessions keep their pumps.
type poller struct{}

func newPoller() *poller { return nil }

func (*poller) run()              {}
func (*poller) close()            {}
func (*poller) watch(*relay) bool { return false }
func (*poller) forget(*relay)     {}
