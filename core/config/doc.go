// Package config holds what the host is told from outside: Config by flags and environment when it starts, and Site, the few
// settings that an administrator changes while it runs.
package config
