package persistence_test

import (
	"os"
	"testing"

	"github.com/sluicehq/sluice/persistence"
)

func TestMain(m *testing.M) {
	persistence.MaybeStoreCheck()
	runChild()
	os.Exit(m.Run())
}
