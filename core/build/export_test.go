package build

// Shared shows the list to its test.
func Shared() []string { return shared }
