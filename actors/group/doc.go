// Package group is the coordinator of groups: who is in a group, what its
// members are to read, and how far they have come.
//
// There is one coordinator for each partition of __consumer_offsets, and each
// holds the groups whose ids hash to it. The partition's log is its only memory:
// what changes is appended there, answers go out when that is committed, and a
// coordinator that starts reads the log from its beginning.
//
// What is decided is decided in State, a step function without clock, goroutine
// and I/O: classic groups in classic*.go, those of the newer protocol (KIP-848)
// in consumer*.go and migrate.go, share groups in share*.go, offsets in
// offset*.go. The actor only carries inputs in and outputs out.
package group
