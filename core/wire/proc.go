package wire

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// processID tells one process from every other that had or will have its number.
type processIdentity struct {
	startTime uint64
	boot      string
	uid       int
	zombie    bool
}

var errNoProc = errors.New("/proc does not tell")

// identifyProcess reads /proc; where there is none, everything is zero, and the sweep ends no process.
func identifyProcess(pid int) (processIdentity, error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return processIdentity{}, nil
	}
	stat, err := readStat(pid)
	if err != nil {
		return processIdentity{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return processIdentity{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return processIdentity{}, err
	}
	id := processIdentity{startTime: stat.startTime, zombie: stat.state == "Z", boot: strings.TrimSpace(string(boot)), uid: -1}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				id.uid, _ = strconv.Atoi(fields[0])
			}
		}
	}
	return id, nil
}

type procStat struct {
	state     string
	cpuTicks  uint64 // user and system time
	threads   int
	startTime uint64
	rssPages  int64
}

func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// parseStat reads /proc/<pid>/stat. The name in the second field may hold anything, spaces and brackets too, so the fields are
// counted from the last bracket.
func parseStat(text []byte) (procStat, error) {
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return procStat{}, errNoProc
	}
	fields := strings.Fields(string(text[i+1:])) // fields[0] is field 3 of proc(5)
	if len(fields) < 22 {
		return procStat{}, errNoProc
	}
	var err error
	number := func(field int) uint64 {
		n, parseErr := strconv.ParseUint(fields[field-3], 10, 64)
		err = errors.Join(err, parseErr)
		return n
	}
	s := procStat{
		state: fields[0], cpuTicks: number(14) + number(15), threads: int(number(20)), startTime: number(22), rssPages: int64(number(24)),
	}
	return s, err
}

// ticksASecond is USER_HZ, which is 100 on every platform that Go runs on.
const ticksASecond = 100

// Sample is what a process uses.
type Sample struct {
	RSS, PSS int64 // bytes; PSS is 0 when the system does not tell
	CPU      time.Duration
	Threads  int
}

// Sample reads what the process uses now. It is zero where there is no /proc.
func (p *Process) Sample() Sample {
	pid := p.PID()
	stat, err := readStat(pid)
	if err != nil {
		return Sample{}
	}
	s := Sample{
		RSS: stat.rssPages * int64(os.Getpagesize()), Threads: stat.threads,
		CPU: time.Duration(stat.cpuTicks) * time.Second / ticksASecond,
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		s.PSS = parsePSS(text)
	}
	return s
}
