package migrate

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// bedsAtOnce is how many parallel tests have servers of their own at once, which compute.
var bedsAtOnce = make(chan struct{}, 24)

// TestMain lets many parallel tests run at once, whatever the number of cores: they wait for the engine's next try. Those with servers
// in this process cost nothing else, and a soak has thousands of them.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // whose workers are so many as well
		many := cap(bedsAtOnce)
		if os.Getenv("IMAPFERRY_SOAK") != "" {
			many = 64
		}
		if err := flag.Set("test.parallel", strconv.Itoa(many)); err != nil {
			panic(err)
		}
	}
	stallTimeout, openTimeout = 5*time.Second, 5*time.Second
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}
