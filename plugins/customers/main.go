package main

import (
	_ "embed"

	"mortise/core/wire"
)

//go:embed module.yaml
var manifest []byte

func main() { wire.Serve(New(), manifest) }
