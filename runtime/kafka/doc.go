// Package kafka serves Kafka's wire protocol: listener, connections and one
// file per API. apis.go is the table of what is served in which versions, and
// what is not in it is not advertised.
//
// A connection has a goroutine that reads requests and calls their handlers.
// Answers may come from any goroutine and in any order; they go out in the
// order of the requests (writer.go). Nothing is allocated from a number that a
// client sent before the bytes it speaks of are there and paid for (frame.go,
// limits.go).
package kafka
