//go:build unix && !linux

package wire

import (
	"os"
	"os/exec"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func executablePath(_ *os.File, path string) string { return path }

func moveUp(f *os.File) (*os.File, error) { return f, nil }

// waitWithoutReaping reaps where waitid is not at hand; the group is then ended an instant after its number became free.
func waitWithoutReaping(cmd *exec.Cmd) {
	_, _ = cmd.Process.Wait() // cmd.Wait fails afterwards, so that there is no exit code
}

func killGroup(pid int, signal syscall.Signal) {
	_ = syscall.Kill(-pid, signal) // fails when the group is gone, which is what is wanted
}
