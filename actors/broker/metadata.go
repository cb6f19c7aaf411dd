package broker

import (
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/persistence/record"
)

// metadataLog is the controller's view of the partition that holds the metadata.
type metadataLog struct{ ref partition.Ref }

func (l metadataLog) Append(batch []byte, done func(base record.Offset, err error)) {
	l.ref.Append(partition.Append{
		Batch: batch, Origin: partition.Coordinator, LeaderEpoch: -1, MarkerCoordinatorEpoch: -1,
		Done: func(a partition.Appended) {
			if errors.Is(a.Err, partition.ErrInterrupted) {
				a.Err = fmt.Errorf("%w: %w", controller.ErrOutcomeUnknown, a.Err)
			}
			done(a.Base, a.Err)
		},
	})
}

func (l metadataLog) Bounds() (start, end record.Offset) {
	return l.ref.LogStart(), l.ref.HighWatermark()
}

// readMax is how much of the metadata is read at once.
const readMax = 1 << 20

func (l metadataLog) Read(from record.Offset, buf []byte) ([]byte, error) {
	return l.ref.Read(from, l.ref.HighWatermark(), readMax, buf)
}

func (l metadataLog) DeleteBefore(to record.Offset) {
	l.ref.DeleteRecords(to, func(record.Offset, error) {}) // the next snapshot tries again
}
