package node

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asExample makes the test binary run as the example. So the tests need no
// other binary to start processes, and these have the race detector when the
// tests have it.
const asExample = "PEERCACHE_TEST_RUN_AS_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(asExample) != "" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}
