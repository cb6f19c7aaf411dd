// Package partitionlog keeps what a partition knows beside its batches: the
// sequences of its producers, open and aborted transactions, the epochs of its
// leaders. State is a plain struct without clock, goroutine or disk: batches go
// in, answers come out.
//
// A batch changes the state twice. Propose notes it when it is handed to the
// log, in an overlay that only Check looks at; Commit notes it when its entry
// commits. So a batch that is lost with its leader leaves nothing behind: its
// retry is new, not a duplicate. Whoever becomes the leader calls DropProposed,
// and then Propose for every batch that its log holds above the commit index.
//
// After a restart the state is the snapshot that was stored last (Append,
// Decode) and a Commit for every committed batch from Next on.
package partitionlog
