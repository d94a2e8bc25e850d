// Command bench measures what the project promises about speed, on real processes: it builds the host and the modules, starts a site in a
// temporary folder, signs people in over HTTP on this machine and prints each figure beside its budget, with how it was measured.
//
//	go run ./cmd/bench                      everything, in about four minutes
//	go run ./cmd/bench -only page,queries   some figures; -list names them
//	go run ./cmd/bench -only customers,memory,attach   those of a maker's site
//	go run ./cmd/bench -seconds 10 -json    longer runs, for programs
//	go run ./cmd/bench -profile DIR         CPU profiles of host and module under load, besides
//
// The load generator runs on the same machine as what it measures, and shares its processors: absolute rates are those of this machine at
// this moment. Ratios of runs that alternate are what can be compared.
package main
