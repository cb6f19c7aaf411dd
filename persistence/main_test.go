package persistence_test

import (
	"os"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	runChild()
	// A child under the race detector would else sleep a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}
