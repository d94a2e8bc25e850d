package web

import (
	"time"
)

// jobsData is the data of the page admin_module_jobs.
type jobsData struct {
	modulePage
	Jobs      []jobData  `json:"jobs"`
	Waiting   int64      `json:"waiting"` // events that were not delivered yet
	Oldest    time.Time  `json:"oldest,omitzero"`
	Dead      []deadData `json:"dead"` // events that could not be delivered so far
	Listens   []string   `json:"listens"`
	Publishes []string   `json:"publishes"`
}

// jobData is one job with its last run.
type jobData struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Schedule string    `json:"schedule"`
	Next     time.Time `json:"next,omitzero"`
	Running  bool      `json:"running"`
	Failures int       `json:"failures"`
	LastAt   time.Time `json:"last_at,omitzero"`
	Result   string    `json:"result"`
	Error    string    `json:"error"`
	Took     float64   `json:"took_s"`
}

// deadData is an event that could not be delivered.
type deadData struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Tries   int       `json:"tries"`
	Error   string    `json:"error"`
	GivenUp bool      `json:"given_up"`
}

// moduleJobs shows a module's jobs and its events.
func (s *Server) moduleJobs(v *visit) error {
	e, frame, err := s.moduleFrame(v, "jobs")
	if err != nil {
		return err
	}
	ctx, id := v.ctx(), e.Manifest.ID
	data := jobsData{modulePage: frame, Jobs: []jobData{}, Dead: []deadData{}, Listens: []string{}, Publishes: []string{}}
	list, err := s.o.Admin.Jobs.List(ctx, id)
	if err != nil {
		return err
	}
	for _, j := range list {
		row := jobData{ID: j.ID, Title: j.Title, Schedule: j.Schedule, Next: j.Next, Running: j.Running, Failures: j.Failures}
		if j.Last != nil {
			row.LastAt, row.Result, row.Error, row.Took = j.Last.StartedAt, string(j.Last.Result), j.Last.Error, j.Last.Duration.Seconds()
		}
		data.Jobs = append(data.Jobs, row)
	}
	counts, err := s.o.Admin.Outbox.Counts(ctx, id)
	if err != nil {
		return err
	}
	data.Waiting, data.Oldest = counts.Waiting, counts.Oldest
	dead, err := s.o.Admin.Outbox.Failing(ctx, 100)
	if err != nil {
		return err
	}
	for _, d := range dead {
		if d.Module == id {
			data.Dead = append(data.Dead, deadData{ID: d.ID, Name: d.Event, Subject: d.Subject, At: d.Time, Tries: d.Attempts, Error: d.LastError, GivenUp: d.Dead})
		}
	}
	for _, one := range e.Manifest.Events.Subscribes {
		data.Listens = append(data.Listens, one.Name)
	}
	for _, one := range e.Manifest.Events.Publishes {
		data.Publishes = append(data.Publishes, one.Name)
	}
	return s.renderModule(v, e, "admin_module_jobs", "Jobs and events", data)
}
