package wire

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// protectProcess keeps other processes of the same user, which is what neighbouring modules are, from reading this one's memory
// and environment. It is set here because execve sets it back. The name is what ps shows: the program was started by its file
// descriptor.
func protectProcess(name string) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if comm, err := unix.ByteSliceFromString(name[:min(len(name), 15)]); err == nil {
		// The main thread names the process, and this may run on another; writing to comm reaches the right one.
		_ = os.WriteFile("/proc/self/comm", comm[:len(comm)-1], 0o644) // cosmetic
	}
	return nil
}

func closeOnExec(fd int) { unix.CloseOnExec(fd) }

// checkPeer refuses a connection from a process of another user.
func checkPeer(conn net.Conn) error {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return errors.New("not a unix socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if credErr != nil {
		return fmt.Errorf("read the peer's credentials: %w", credErr)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("the peer is user %d, expected %d", cred.Uid, os.Getuid())
	}
	return nil
}
