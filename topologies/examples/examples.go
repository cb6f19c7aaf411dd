// Package examples holds definitions that users copy. The binary carries them
// all: its own commands run some, and users print others.
package examples

import "embed"

// Shop is the flume.conf of `sluice demo`. It wants -Ddemo.dir=DIR and
// -Ddemo.kafka=HOST:PORT.
//
//go:embed shop.conf
var Shop string

// Files are all examples, by file name.
//
//go:embed *.conf *.yaml
var Files embed.FS
