package migrate

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets many parallel tests run at once, whatever the number of cores: they wait for the engine's next try.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}
