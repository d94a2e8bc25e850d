// Package modulepb is the control plane between the host and a module's process as protobuf messages and gRPC services. Its
// source is module.proto; core/wire alone uses it.
//
// The generator is Go alone: `go generate ./core/wire/modulepb` compiles module.proto without protoc. A test fails when the
// generated code is older than module.proto, and another when something that contract.txt promises is gone or changed.
package modulepb

//go:generate go run ./gen
