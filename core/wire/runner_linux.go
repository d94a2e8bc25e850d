package wire

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// executablePath is the path to execute: that of the open file, so that what was checked is what runs, even if somebody
// replaces the file in between. Without /proc it is the file's own path.
func executablePath(program *os.File, path string) string {
	byDescriptor := fmt.Sprintf("/proc/self/fd/%d", program.Fd())
	if _, err := os.Stat(byDescriptor); err != nil {
		return path
	}
	return byDescriptor
}

// firstProgramFD keeps a program's descriptor out of the range into which os/exec moves the child's files.
const firstProgramFD = 100

// moveUp gives the same open file a high descriptor.
func moveUp(f *os.File) (*os.File, error) {
	defer func() { _ = f.Close() }()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, firstProgramFD)
	if err != nil {
		return nil, fmt.Errorf("duplicate the descriptor of %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// waitWithoutReaping returns when the process has ended and leaves it a zombie.
func waitWithoutReaping(cmd *exec.Cmd) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // any other error means that there is nothing to wait for
		}
	}
}

func killGroup(pid int, signal syscall.Signal) {
	_ = syscall.Kill(-pid, signal) // fails when the group is gone, which is what is wanted
}
