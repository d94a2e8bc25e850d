package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"mortise/core/fault"
)

// Why a run began.
const (
	CauseSchedule = "schedule"
	CauseRetry    = "retry"
	CauseManual   = "manual"
)

// How a run ended.
const (
	ResultRunning     = "running"
	ResultDone        = "done"
	ResultFailed      = "failed"
	ResultTimeout     = "timeout"
	ResultInterrupted = "interrupted" // by the end of the host
)

// keepRuns is how many runs of each job are kept.
const keepRuns = 50

// Run is one run of a job.
type Run struct {
	ID        int64         `json:"id"`
	Module    string        `json:"module"`
	Job       string        `json:"job"`
	Cause     string        `json:"cause"`
	StartedBy string        `json:"started_by,omitempty"`
	StartedAt time.Time     `json:"started_at"`
	EndedAt   time.Time     `json:"ended_at,omitzero"`
	Duration  time.Duration `json:"-"`
	Millis    int64         `json:"duration_ms"`
	Result    string        `json:"result"`
	Error     string        `json:"error,omitempty"`
}

// Job is a job with its times and its last run.
type Job struct {
	Module   string    `json:"module"`
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Schedule string    `json:"schedule"`
	Next     time.Time `json:"next,omitzero"` // zero: only by hand
	Running  bool      `json:"running"`
	Since    time.Time `json:"since,omitzero"` // of the run under way
	Failures int       `json:"failures"`       // in a row
	Paused   bool      `json:"paused"`         // with its module
	Last     *Run      `json:"last,omitempty"`
}

type runRow struct {
	ID         int64 `gorm:"primaryKey"`
	Module     string
	Job        string
	Cause      string
	StartedBy  string
	StartedAt  time.Time
	EndedAt    *time.Time
	DurationMS int64 `gorm:"column:duration_ms"`
	Result     string
	Error      string
}

// TableName is for GORM.
func (runRow) TableName() string { return "core_job_runs" }

func (r runRow) public() Run {
	run := Run{ID: r.ID, Module: r.Module, Job: r.Job, Cause: r.Cause, StartedBy: r.StartedBy, StartedAt: r.StartedAt.UTC(),
		Millis: r.DurationMS, Duration: time.Duration(r.DurationMS) * time.Millisecond, Result: r.Result, Error: r.Error}
	if r.EndedAt != nil {
		run.EndedAt = r.EndedAt.UTC()
	}
	return run
}

type timesRow struct {
	Module   string `gorm:"primaryKey"`
	Job      string `gorm:"primaryKey"`
	Schedule string
	DueAt    *time.Time
	RetryAt  *time.Time
	Failures int
}

// TableName is for GORM.
func (timesRow) TableName() string { return "core_jobs" }

func (s *Scheduler) readTimes(ctx context.Context) (map[jobID]timesRow, error) {
	var list []timesRow
	if err := s.o.Store.Read(ctx).Find(&list).Error; err != nil {
		return nil, fmt.Errorf("read the times of jobs: %w", err)
	}
	rows := make(map[jobID]timesRow, len(list))
	for _, r := range list {
		rows[jobID{r.Module, r.Job}] = r
	}
	return rows, nil
}

func (s *Scheduler) writeTimes(ctx context.Context, plans []*plan) error {
	if len(plans) == 0 {
		return nil
	}
	rows := make([]timesRow, 0, len(plans))
	s.mu.Lock()
	for _, p := range plans {
		rows = append(rows, timesRow{Module: p.id.module, Job: p.id.job, Schedule: p.of.Schedule, Failures: p.failures, DueAt: stored(p.due), RetryAt: stored(p.retry)})
	}
	s.mu.Unlock()
	return s.o.Store.Write(ctx, func(tx *gorm.DB) error {
		if err := tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&rows).Error; err != nil {
			return fmt.Errorf("keep the times of jobs: %w", err)
		}
		return nil
	})
}

func stored(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *Scheduler) recordStart(ctx context.Context, id jobID, cause, by string, at time.Time) (int64, error) {
	row := runRow{Module: id.module, Job: id.job, Cause: cause, StartedBy: by, StartedAt: at.UTC(), Result: ResultRunning}
	err := s.o.Store.Write(ctx, func(tx *gorm.DB) error { return tx.Create(&row).Error })
	return row.ID, err
}

func (s *Scheduler) recordEnd(ctx context.Context, id jobID, run int64, began, at time.Time, result, text string) error {
	return s.o.Store.Write(ctx, func(tx *gorm.DB) error {
		err := tx.Model(&runRow{}).Where("id = ?", run).Updates(map[string]any{
			"ended_at": at.UTC(), "duration_ms": at.Sub(began).Milliseconds(), "result": result, "error": shorten(text),
		}).Error
		if err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM core_job_runs WHERE module = ? AND job = ? AND id <= (SELECT id FROM core_job_runs
			WHERE module = ? AND job = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`, id.module, id.job, id.module, id.job, keepRuns).Error
	})
}

const maxError = 1000

func shorten(text string) string {
	if len(text) <= maxError {
		return text
	}
	cut := maxError
	for cut > 0 && text[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return text[:cut] + "…"
}

// markInterrupted ends the runs of a host that was killed.
func (s *Scheduler) markInterrupted(ctx context.Context) error {
	err := s.o.Store.Write(ctx, func(tx *gorm.DB) error {
		return tx.Model(&runRow{}).Where("result = ?", ResultRunning).
			Updates(map[string]any{"result": ResultInterrupted, "error": "The host stopped.", "ended_at": s.o.Clock.Now().UTC()}).Error
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("end the runs of the last start: %w", err)
	}
	return nil
}

// List gives the jobs of a module ("" for all), by module and title, with their last runs.
func (s *Scheduler) List(ctx context.Context, module string) ([]Job, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	list := []Job{}
	s.mu.Lock()
	for id, p := range s.plans {
		if module != "" && id.module != module {
			continue
		}
		j := Job{Module: id.module, ID: id.job, Title: p.of.Title, Schedule: p.of.Schedule, Running: p.running, Failures: p.failures, Paused: p.state == Paused}
		if next := p.next(); !next.IsZero() {
			j.Next = next.UTC()
		}
		if p.running {
			j.Since = p.since.UTC()
		}
		list = append(list, j)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b Job) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	var last []runRow
	query := s.o.Store.Read(ctx).Where("id IN (SELECT max(id) FROM core_job_runs GROUP BY module, job)")
	if module != "" {
		query = query.Where("module = ?", module)
	}
	if err := query.Find(&last).Error; err != nil {
		return nil, fmt.Errorf("read the last runs: %w", err)
	}
	for _, r := range last {
		run := r.public()
		if i := slices.IndexFunc(list, func(j Job) bool { return j.Module == r.Module && j.ID == r.Job }); i >= 0 {
			list[i].Last = &run
		}
	}
	return list, nil
}

// Runs gives the last runs of a job, newest first, at most limit (up to 50). Empty names stand for all modules and all jobs.
func (s *Scheduler) Runs(ctx context.Context, module, job string, limit int) ([]Run, error) {
	query := s.o.Store.Read(ctx).Order("id DESC").Limit(min(max(limit, 1), keepRuns))
	if module != "" {
		query = query.Where("module = ?", module)
	}
	if job != "" {
		query = query.Where("job = ?", job)
	}
	var rows []runRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read the runs: %w", err)
	}
	runs := make([]Run, len(rows))
	for i, r := range rows {
		runs[i] = r.public()
	}
	return runs, nil
}

// Forget drops the times and runs of a module that is removed. fault.Conflict while one of its jobs runs.
func (s *Scheduler) Forget(ctx context.Context, module string) error {
	s.mu.Lock()
	busy := s.inFlight[module] > 0
	if !busy {
		for id := range s.plans {
			if id.module == module {
				delete(s.plans, id)
			}
		}
	}
	s.mu.Unlock()
	if busy {
		return fault.New(fault.Conflict, "a job of the module %s is still running", module)
	}
	return s.o.Store.Write(ctx, func(tx *gorm.DB) error {
		for _, query := range []string{`DELETE FROM core_job_runs WHERE module = ?`, `DELETE FROM core_jobs WHERE module = ?`} {
			if err := tx.Exec(query, module).Error; err != nil {
				return fmt.Errorf("forget the jobs of %s: %w", module, err)
			}
		}
		return nil
	})
}
