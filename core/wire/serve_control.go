package wire

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	plugin "github.com/hashicorp/go-plugin"

	"mortise/core/fault"
	"mortise/core/manifest"
	"mortise/core/sdk"
	"mortise/core/wire/modulepb"
)

// moduleServer answers the host's control calls inside the module's process. The host calls Describe, Connect, Migrate and Start
// in this order and one after the other; everything else comes after them and at the same time.
type moduleServer struct {
	modulepb.UnimplementedModuleServer
	module        sdk.Module
	manifest      *manifest.Manifest
	log           *slog.Logger
	broker        *plugin.GRPCBroker
	restoreOutput func()

	mu    sync.Mutex
	site  *site       // nil before Connect
	pages *pageServer // nil before Connect

	jobs     context.Context // ends at Drain
	stopJobs context.CancelCauseFunc
	stopOnce sync.Once
	stopErr  error
}

func newModuleServer(module sdk.Module, m *manifest.Manifest, log *slog.Logger) *moduleServer {
	s := &moduleServer{module: module, manifest: m, log: log}
	s.jobs, s.stopJobs = context.WithCancelCause(context.Background())
	return s
}

func (s *moduleServer) Describe(context.Context, *modulepb.DescribeRequest) (*modulepb.DescribeReply, error) {
	s.restoreOutput()
	return &modulepb.DescribeReply{
		Id: s.manifest.ID, Version: s.manifest.Version, Contract: sdk.ContractVersion,
		ManifestDigest: s.manifest.Digest(), Capabilities: capabilities(s.module),
	}, nil
}

func (s *moduleServer) Connect(_ context.Context, r *modulepb.ConnectRequest) (*modulepb.ConnectReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.site != nil {
		return nil, toStatus(fault.New(fault.Conflict, "the module is connected already"))
	}
	settings, err := decodeSettings(r.GetSettingsJson())
	if err != nil {
		return nil, toStatus(err)
	}
	conn, err := s.broker.DialWithOptions(r.GetBrokerId()) // has five seconds of its own
	if err != nil {
		return nil, toStatus(fault.Wrap(fault.Unavailable, err, "the host's services do not answer"))
	}
	handler, _ := s.module.(http.Handler)
	pages := newPageServer(handler, r.GetPagesToken(), s.log)
	if err := pages.listen(r.GetPagesSocket()); err != nil {
		_ = conn.Close()
		return nil, toStatus(err)
	}
	s.pages = pages
	s.site = newSite(s.manifest.ID, modulepb.NewHostClient(conn), s.log,
		sdk.Site{Name: r.GetSite().GetName(), PublicURL: r.GetSite().GetPublicUrl()},
		storeConnector(r.GetStoreSocket(), r.GetStoreBearer()))
	s.site.settings.Store(&settings)
	return &modulepb.ConnectReply{}, nil
}

func (s *moduleServer) connected() (*site, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.site == nil {
		return nil, fault.New(fault.Conflict, "the module is not connected yet")
	}
	return s.site, nil
}

func (s *moduleServer) Migrate(ctx context.Context, r *modulepb.MigrateRequest) (*modulepb.MigrateReply, error) {
	if _, err := s.connected(); err != nil {
		return nil, toStatus(err)
	}
	migrator, ok := s.module.(sdk.Migrator)
	if !ok {
		return &modulepb.MigrateReply{}, nil
	}
	applied := map[int]string{}
	for _, m := range r.GetApplied() {
		applied[int(m.GetNumber())] = m.GetName()
	}
	steps := migrator.Migrations()
	ran, err := migrate(ctx, r.GetStoreSocket(), r.GetBearer(), applied, steps)
	if err != nil {
		return nil, toStatus(err)
	}
	names := map[int]string{}
	for _, step := range steps {
		names[step.Number] = step.Name
	}
	reply := &modulepb.MigrateReply{}
	for _, n := range ran {
		reply.Ran = append(reply.Ran, &modulepb.Migration{Number: int32(n), Name: names[n]})
	}
	return reply, nil
}

func (s *moduleServer) Start(ctx context.Context, _ *modulepb.StartRequest) (*modulepb.StartReply, error) {
	site, err := s.connected()
	if err != nil {
		return nil, toStatus(err)
	}
	if err := s.module.Start(ctx, site); err != nil {
		return nil, toStatus(err)
	}
	s.pages.started.Store(true)
	return &modulepb.StartReply{}, nil
}

func (s *moduleServer) Configure(ctx context.Context, r *modulepb.ConfigureRequest) (*modulepb.ConfigureReply, error) {
	site, err := s.connected()
	if err != nil {
		return nil, toStatus(err)
	}
	configurable, ok := s.module.(sdk.Configurable)
	if !ok {
		return &modulepb.ConfigureReply{Applied: false}, nil
	}
	settings, err := decodeSettings(r.GetSettingsJson())
	if err != nil {
		return nil, toStatus(err)
	}
	before := site.settings.Swap(&settings)
	if err := configurable.Configure(ctx, settings); err != nil {
		site.settings.Store(before)
		return nil, toStatus(err)
	}
	return &modulepb.ConfigureReply{Applied: true}, nil
}

func (s *moduleServer) TestSettings(ctx context.Context, r *modulepb.TestSettingsRequest) (*modulepb.TestSettingsReply, error) {
	tester, ok := s.module.(sdk.SettingsTester)
	if !ok {
		return nil, toStatus(fault.New(fault.NotFound, "This module cannot test its settings."))
	}
	settings, err := decodeSettings(r.GetSettingsJson())
	if err != nil {
		return nil, toStatus(err)
	}
	problems, err := tester.TestSettings(ctx, settings)
	if err != nil {
		return nil, toStatus(err)
	}
	reply := &modulepb.TestSettingsReply{}
	for _, p := range problems {
		reply.Problems = append(reply.Problems, &modulepb.Problem{Key: cut(p.Key), Message: cut(p.Message)})
	}
	return reply, nil
}

func (s *moduleServer) Check(ctx context.Context, _ *modulepb.CheckRequest) (*modulepb.CheckReply, error) {
	reply := &modulepb.CheckReply{PssBytes: ownPSS(), Goroutines: uint32(runtime.NumGoroutine())}
	checker, ok := s.module.(sdk.Checker)
	if !ok {
		return reply, nil
	}
	findings, err := checker.Check(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	for _, f := range findings {
		reply.Findings = append(reply.Findings, &modulepb.Finding{
			Level: cut(string(f.Level)), Title: cut(f.Title), Remedy: cut(f.Remedy), Link: cut(f.Link),
		})
	}
	return reply, nil
}

func (s *moduleServer) Deliver(ctx context.Context, r *modulepb.DeliverRequest) (*modulepb.DeliverReply, error) {
	listener, ok := s.module.(sdk.Listener)
	if !ok {
		return nil, toStatus(fault.New(fault.NotFound, "the module listens to no events"))
	}
	err := listener.Deliver(ctx, sdk.Event{
		Name: r.GetName(), Subject: r.GetSubject(), Key: r.GetKey(), Time: time.Unix(0, r.GetTimeUnixNano()).UTC(),
		Source: r.GetSource(), Payload: r.GetPayload(),
	})
	var refusal *sdk.RefuseError
	if errors.As(err, &refusal) {
		return &modulepb.DeliverReply{Refused: true, Reason: cut(refusal.Reason)}, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &modulepb.DeliverReply{}, nil
}

func (s *moduleServer) RunJob(ctx context.Context, r *modulepb.RunJobRequest) (*modulepb.RunJobReply, error) {
	worker, ok := s.module.(sdk.Worker)
	if !ok {
		return nil, toStatus(fault.New(fault.NotFound, "the module has no jobs"))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.jobs, func() { cancel(errDraining) })()
	err := worker.Run(ctx, r.GetJob())
	if err != nil && s.jobs.Err() != nil {
		err = fault.Wrap(fault.Unavailable, err, "the module was stopped before the job was done")
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return &modulepb.RunJobReply{}, nil
}

func (s *moduleServer) Call(ctx context.Context, r *modulepb.CallRequest) (*modulepb.CallReply, error) {
	provider, ok := s.module.(sdk.Provider)
	if !ok {
		return nil, toStatus(fault.New(fault.NotFound, "the module provides no services"))
	}
	user := identityFrom(r.GetUser())
	ctx = sdk.WithRequest(ctx, sdk.Request{ID: r.GetRequestId(), User: user, Claim: r.GetClaim()})
	result, err := provider.Call(ctx, sdk.Call{
		Service: r.GetService(), Method: r.GetMethod(), Input: r.GetInput(), Caller: r.GetCaller(), User: user,
	})
	if err != nil {
		return nil, toStatus(err)
	}
	output, err := json.Marshal(result)
	if err != nil {
		return nil, toStatus(fault.Wrap(fault.Internal, err, "encode the answer of %s.%s", r.GetService(), r.GetMethod()))
	}
	if len(output) > MaxCallData {
		return nil, toStatus(fault.New(fault.TooLarge, "the answer of %s.%s has %d bytes, at most %d are allowed",
			r.GetService(), r.GetMethod(), len(output), MaxCallData))
	}
	return &modulepb.CallReply{Output: output}, nil
}

func (s *moduleServer) Drain(context.Context, *modulepb.DrainRequest) (*modulepb.DrainReply, error) {
	s.stopJobs(errDraining)
	s.mu.Lock()
	pages := s.pages
	s.mu.Unlock()
	if pages != nil {
		pages.drain()
	}
	return &modulepb.DrainReply{}, nil
}

func (s *moduleServer) Stop(ctx context.Context, _ *modulepb.StopRequest) (*modulepb.StopReply, error) {
	s.stopOnce.Do(func() {
		s.stopJobs(errDraining)
		s.mu.Lock()
		site, pages := s.site, s.pages
		s.mu.Unlock()
		if site != nil {
			site.stop()
		}
		if pages != nil {
			defer pages.close()
			if !pages.started.Load() {
				return // Start did not succeed, so there is nothing to stop
			}
		}
		s.stopErr = s.module.Stop(ctx)
	})
	if s.stopErr != nil {
		return nil, toStatus(s.stopErr)
	}
	return &modulepb.StopReply{}, nil
}

// ownPSS reads what the process may read of itself even when nobody else of its user may; 0 when there is no such file.
func ownPSS() uint64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	return uint64(parsePSS(text))
}
