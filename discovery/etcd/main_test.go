package etcd

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine is left behind by any test. The tests here need
// no etcd; those of the module integration start one.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
