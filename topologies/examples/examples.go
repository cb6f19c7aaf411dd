// Package examples holds definitions that users copy. The binary carries those
// that its own commands run.
package examples

import _ "embed"

// Demo is the flume.conf of `sluice demo`. It wants -Ddemo.dir=DIR.
//
//go:embed demo.conf
var Demo string
