package store

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"mortise/core/fault"
)

// checkPeer asks the kernel who is at the other end: the same user, and a process that allow accepts.
func checkPeer(nc net.Conn, allow func(pid int) bool) error {
	u, ok := nc.(*net.UnixConn)
	if !ok {
		return fault.New(fault.Denied, "not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) //nolint:gosec // a file descriptor is small
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return peerErr
	}
	if int(peer.Uid) != os.Getuid() {
		return fault.New(fault.Denied, "another user's process")
	}
	if allow != nil && !allow(int(peer.Pid)) {
		return fault.New(fault.Denied, "not the module's process")
	}
	return nil
}
