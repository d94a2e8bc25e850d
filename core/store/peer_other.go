//go:build !linux

package store

import "net"

// checkPeer relies on the socket's folder (mode 0700) and the bearer where the kernel is not asked.
func checkPeer(net.Conn, func(pid int) bool) error { return nil }
