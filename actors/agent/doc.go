// Package agent runs one Flume agent: its channels, sinks and sources under one
// supervisor, with the ledger that says where every event went.
package agent
