// Package e2e runs the built binary as its users do, and does to it what the
// world does: kills it, pulls its plug, fills its disk, flips its bits. It
// knows nothing of the inside. SLUICE_FULL=1 runs everything at full counts,
// SLUICE_SEED=N repeats a run's choices.
package e2e
