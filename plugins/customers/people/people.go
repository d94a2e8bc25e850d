package people

import (
	"context"
	"net/http"
	"sync"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// People are the pages about customers, with the Directory behind them.
type People struct {
	*Directory

	importing  sync.Mutex // one import works at a time
	background sync.WaitGroup
}

// New makes the part. Start is called before its first page is served.
func New(s *site.Site) *People { return &People{Directory: NewDirectory(s)} }

// Stop waits for the work that pages have begun.
func (p *People) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		p.background.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done(): // the process ends; the job goes on with what is open
	}
	return nil
}

// Routes adds the pages.
func (p *People) Routes(*http.ServeMux) {}

// Run does this part's share of a job.
func (p *People) Run(ctx context.Context, job string) (mine bool, err error) {
	switch job {
	case "sync":
		return true, p.Sync(ctx)
	}
	return false, nil
}

// Check has nothing to report.
func (p *People) Check(context.Context) ([]sdk.Finding, error) { return nil, nil }
