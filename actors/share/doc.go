// Package share is the actor that hands records of a partition to the members
// of a share group (KIP-932): each record to one of them, for a time, and again
// to another if it is not acknowledged by then.
//
// What has become of each record is decided in Partition, a step function. The
// actor reads logs in goroutines, keeps the sessions of members, and has every
// change kept by the group's coordinator (actors/group) before it answers.
package share
