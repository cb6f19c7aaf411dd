package kafka

import (
	"context"
	"errors"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sluicehq/sluice/actors/broker"
	"github.com/sluicehq/sluice/actors/controller"
	"github.com/sluicehq/sluice/actors/partition"
	"github.com/sluicehq/sluice/actors/producer"
	"github.com/sluicehq/sluice/persistence/partitionlog"
	"github.com/sluicehq/sluice/persistence/record"
)

// codes are our errors with the codes that clients know. The first that fits
// wins.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{record.ErrCorrupt, kerr.CorruptMessage},
	{producer.ErrNoTransactionalID, kerr.TransactionalIDAuthorizationFailed},
	{producer.ErrNotVerified, kerr.NotEnoughReplicas},
	{partition.ErrNotLeader, kerr.NotLeaderForPartition},
	{partition.ErrFencedLeaderEpoch, kerr.FencedLeaderEpoch},
	{partition.ErrUnknownLeaderEpoch, kerr.UnknownLeaderEpoch},
	{partition.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{partition.ErrTooLarge, kerr.MessageTooLarge},
	{partition.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{partition.ErrInvalidRecord, kerr.InvalidRecord},
	{partition.ErrNoSpace, kerr.KafkaStorageError},
	{partition.ErrInterrupted, kerr.NotEnoughReplicasAfterAppend},
	{partitionlog.ErrOutOfOrder, kerr.OutOfOrderSequenceNumber},
	{partitionlog.ErrFenced, kerr.InvalidProducerEpoch},
	{partitionlog.ErrUnknownProducer, kerr.UnknownProducerID},
	{partitionlog.ErrTxnState, kerr.InvalidTxnState},
	{partitionlog.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{partitionlog.ErrInvalid, kerr.InvalidRecord},
	// The topic is in the metadata, its partition not at work yet, or not here.
	{broker.ErrUnknownPartition, kerr.NotLeaderForPartition},
	{broker.ErrCoordinatorLoading, kerr.CoordinatorLoadInProgress},
	{controller.ErrNotController, kerr.NotController},
	{controller.ErrOutcomeUnknown, kerr.RequestTimedOut},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
}

// codeOf is what a client is told about err. What is in no table is our own
// fault.
func codeOf(err error) int16 {
	if err == nil {
		return 0
	}
	if known, ok := err.(*kerr.Error); ok {
		return known.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return kerr.UnknownServerError.Code
}

// isReset says that the other side went away without a word.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
