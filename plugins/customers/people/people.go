package people

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"mortise/core/sdk"
	"mortise/plugins/customers/site"
)

// People are the pages about customers, with the Directory behind them.
type People struct {
	*Directory

	recent     recent
	importing  atomic.Bool // one at a time
	background sync.WaitGroup
}

// New makes the part. Start is called before its first page is served.
func New(s *site.Site) *People { return &People{Directory: NewDirectory(s)} }

// Start gets the list ready. An empty one is filled in the background: the site may have had customers before it had this module.
func (p *People) Start(ctx context.Context) error {
	if err := p.Directory.Start(ctx); err != nil {
		return err
	}
	if p.clock.Load() > 0 {
		return nil
	}
	p.background.Go(func() { p.fill(p.site.Host.Context()) })
	return nil
}

// fill makes the first comparison. While a module is being enabled, the site does not answer it yet, so it is asked again.
func (p *People) fill(ctx context.Context) {
	for _, pause := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, 0} {
		err := p.Sync(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if pause == 0 {
			p.site.Host.Log().Warn("the list of customers could not be filled yet; the job does it", "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

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
func (p *People) Routes(mux *http.ServeMux) {
	const person = " " + root + "/people/{person}"
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET " + root:                              p.showList,
		"GET " + root + "/export":                  p.export,
		"GET " + root + "/new":                     p.showAdd,
		"POST " + root + "/new":                    p.add,
		"GET " + root + "/import":                  p.showUpload,
		"POST " + root + "/import":                 p.upload,
		"GET " + root + "/imports/{import}":        p.showImport,
		"POST " + root + "/imports/{import}":       p.steerImport,
		"GET " + root + "/imports/{import}/report": p.report,
		"GET" + person:                             p.showPerson,
		"POST" + person + "/notes":                 p.addNote,
		"GET" + person + "/notes/{note}":           p.showNote,
		"POST" + person + "/notes/{note}":          p.changeNote,
		"POST" + person + "/invite":                p.resend,
		"GET" + person + "/block":                  p.confirmBlock,
		"POST" + person + "/block":                 p.block,
		"GET" + person + "/delete":                 p.confirmDelete,
		"POST" + person + "/delete":                p.delete,
	} {
		mux.HandleFunc(pattern, handler)
	}
}

const keepImports = 90 * 24 * time.Hour

// Run does this part's share of a job.
func (p *People) Run(ctx context.Context, job string) (mine bool, err error) {
	switch job {
	case "sync":
		return true, p.Sync(ctx)
	case "import":
		return true, p.Import(ctx)
	case "retention":
		return true, p.store.forgetImports(ctx, p.site.Now().Add(-keepImports))
	}
	return false, nil
}

// Check has nothing to report.
func (p *People) Check(context.Context) ([]sdk.Finding, error) { return nil, nil }
