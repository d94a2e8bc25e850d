package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runPrefix begins the name of every run folder, so that the sweep knows what is its own.
const runPrefix = "m-"

// runRecord says which process belongs to a run folder. It lies beside the folder, under its name and ".json".
type runRecord struct {
	Module    string `json:"module"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // field 22 of /proc/<pid>/stat: clock ticks since boot
	Boot      string `json:"boot"`       // the machine's boot id
	Program   string `json:"program"`
	Dir       string `json:"dir"`
}

func writeRecord(path string, r *processRunner, dir, module string) error {
	id, err := identifyProcess(r.processID())
	if err != nil {
		return err
	}
	program, err := filepath.EvalSymlinks(r.path)
	if err != nil {
		return err
	}
	text, err := json.Marshal(runRecord{
		Module: module, PID: r.processID(), StartTime: id.startTime, Boot: id.boot, Program: program, Dir: dir,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// Sweep ends what a host that crashed has left: processes whose record says that they are ours, and run folders. A process is
// only ended when its start time and its program are those of the record, because ids are used again. Call it at boot, before
// the first Launch, and only while no other host uses runRoot.
func Sweep(runRoot string, log *slog.Logger) (killed int, err error) {
	entries, err := os.ReadDir(runRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("sweep the run folder: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), runPrefix) && strings.HasSuffix(e.Name(), ".json") && e.Type().IsRegular() {
			path := filepath.Join(runRoot, e.Name())
			if sweepRecord(path, log) {
				killed++
			}
			err = errors.Join(err, os.Remove(path))
		}
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), runPrefix) && e.IsDir() {
			err = errors.Join(err, os.RemoveAll(filepath.Join(runRoot, e.Name())))
		}
	}
	return killed, err
}

// sweepRecord ends the process of one record and removes its folder. It tells whether there was such a process.
func sweepRecord(path string, log *slog.Logger) bool {
	text, err := os.ReadFile(path)
	var r runRecord
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		log.Warn("a run record cannot be read", "path", path, "error", err)
		return false
	}
	// A folder may lie in the system's folder for temporary files when the run root's path is long.
	if want := strings.TrimSuffix(filepath.Base(path), ".json"); filepath.Base(r.Dir) == want {
		defer func() { _ = os.RemoveAll(r.Dir) }()
	}
	if r.PID <= 1 || !isProcess(r) {
		return false
	}
	log.Warn("ending a module's process that outlived the host", "module", r.Module, "pid", r.PID)
	_ = syscall.Kill(-r.PID, syscall.SIGKILL) // the group; the process alone when it has none
	_ = syscall.Kill(r.PID, syscall.SIGKILL)
	for deadline := time.Now().Add(killTime); isProcess(r) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// isProcess tells whether the recorded process still runs.
func isProcess(r runRecord) bool {
	id, err := identifyProcess(r.PID)
	if err != nil || id.zombie || id.startTime != r.StartTime || id.boot != r.Boot || r.StartTime == 0 {
		return false
	}
	// A module's process hides this link from other processes of its user; the start time and the user then have to do.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err != nil {
		return errors.Is(err, fs.ErrPermission) && id.uid == os.Getuid()
	}
	return strings.TrimSuffix(exe, " (deleted)") == r.Program
}
