package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how many units of CPU time in /proc make a second: 100 on every Linux that Go runs on.
const ticks = 100

// process is what /proc/<pid>/stat tells; see proc_pid_stat(5).
type process struct {
	pid, parent int
	zombie      bool
	cpu         time.Duration // user and system, in steps of 10 ms
}

func readProcess(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	// The second field is the program's name in parentheses and may hold anything, also spaces and parentheses.
	at := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[at+1:]))
	if at < 0 || len(fields) < 13 {
		return process{}, fmt.Errorf("cannot read /proc/%d/stat", pid)
	}
	parent, err1 := strconv.Atoi(fields[1])
	user, err2 := strconv.ParseInt(fields[11], 10, 64)
	system, err3 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return process{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	return process{pid: pid, parent: parent, zombie: fields[0] == "Z", cpu: time.Duration(user+system) * time.Second / ticks}, nil
}

// cpuOf adds the CPU time of processes.
func cpuOf(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		p, err := readProcess(pid)
		if err != nil {
			return 0, fmt.Errorf("the CPU time of process %d: %w", pid, err)
		}
		sum += p.cpu
	}
	return sum, nil
}

// descendants lists a process and everything below it.
func descendants(pid int) ([]int, error) {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		n, err := strconv.Atoi(filepath.Base(e))
		if err != nil {
			continue
		}
		if p, err := readProcess(n); err == nil {
			children[p.parent] = append(children[p.parent], n)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// alive tells whether a process exists and is no zombie.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	p, err := readProcess(pid)
	return err == nil && !p.zombie
}

// memory is a process's proportional set size in bytes: pages shared by n processes count 1/n.
type memory struct {
	all int64
	own int64 // without pages of files: what the process has written
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if errors.Is(err, fs.ErrPermission) {
		return memory{}, fmt.Errorf("process %d hides its memory from other users' eyes; run this as root: %w", pid, err)
	}
	if err != nil {
		return memory{}, err
	}
	found := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) == 2 && strings.HasPrefix(name, "Pss") {
			kib, err := strconv.ParseInt(fields[0], 10, 64)
			if err != nil {
				return memory{}, fmt.Errorf("read smaps_rollup of process %d: %w", pid, err)
			}
			found[name] = kib << 10
		}
	}
	if found["Pss"] == 0 {
		return memory{}, fmt.Errorf("no Pss in smaps_rollup of process %d", pid)
	}
	return memory{found["Pss"], found["Pss_Anon"] + found["Pss_Shmem"]}, nil
}
