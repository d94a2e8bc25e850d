package core

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"mortise/core/fault"
)

// folderLock keeps a second host out of a data folder. The kernel drops it when the process ends, however it ends.
type folderLock struct{ file *os.File }

func lockFolder(dir string) (*folderLock, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data folder: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fault.Wrap(fault.Conflict, err, "another host has the data folder %s open; stop it first, or choose another with --data", dir)
	}
	return &folderLock{file}, nil
}

func (l *folderLock) release() error { return l.file.Close() }
