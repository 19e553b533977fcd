package migrate

import (
	"flag"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets many parallel tests run at once, whatever the number of cores: they wait for the engine's next try.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" { // whose workers are so many as well
		if err := flag.Set("test.parallel", "24"); err != nil {
			panic(err)
		}
	}
	stallTimeout, openTimeout = 5*time.Second, 5*time.Second
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}
