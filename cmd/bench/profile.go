package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"mortise/core"
	"mortise/core/config"
)

// runHost is "mortise serve" with a profiler: the first SIGUSR1 begins a CPU profile in the file that profileVariable names, the second
// ends it.
func runHost(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "serve" {
		return errors.New("expected serve")
	}
	c := config.Default()
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	if err := config.Bind(flags, &c, nil); err != nil {
		return err
	}
	flags.Bool("json", true, "answer as JSON")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	c.Listen = listener.Addr().String()
	host, err := core.New(ctx, c, core.Options{Stderr: os.Stderr})
	if err != nil {
		return err
	}
	go profileOnSignal(ctx)
	err = host.Serve(ctx, listener, func() { _ = json.NewEncoder(os.Stdout).Encode(map[string]string{"url": host.URL()}) })
	return errors.Join(err, host.Close())
}

const profileVariable = "MORTISE_BENCH_PROFILE"

func profileOnSignal(ctx context.Context) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGUSR1)
	var file *os.File
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if file != nil {
			pprof.StopCPUProfile()
			_ = file.Close()
			file = nil
			if err := heapProfile(os.Getenv(profileVariable) + heapSuffix); err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
			continue
		}
		f, err := os.Create(os.Getenv(profileVariable))
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			continue
		}
		file = f
	}
}

// heapSuffix is added to the name of a CPU profile for the memory that lives at its end.
const heapSuffix = ".heap"

func heapProfile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC() // what is left is what lives
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// hostProfile is where the host writes.
func (s *site) hostProfile() string { return s.path("host.pprof") }

// profilePage takes profiles of host and module under the page's load, when they were asked for.
func (s *site) profilePage(ctx context.Context, queries int) error {
	if s.options.profile == "" {
		return nil
	}
	if err := os.MkdirAll(s.options.profile, 0o755); err != nil {
		return err
	}
	lasting := max(s.options.lasting().Round(time.Second), 3*time.Second)
	name := func(of string) string {
		return filepath.Join(s.options.profile, fmt.Sprintf("page-%d-%s.pprof", queries, of))
	}
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error {
		a, err := s.visitor.get(ctx, fmt.Sprintf("/bench/profile?seconds=%d", int(lasting.Seconds())))
		if err != nil {
			return err
		}
		return os.WriteFile(name("module"), a.body, 0o644)
	})
	group.Go(func() error {
		path := fmt.Sprintf("/bench/items?queries=%d", queries)
		_, err := blast(ctx, target{address: s.address, path: path, cookie: s.visitor.cookie(), end: "</html>"}, connections, lasting)
		return err
	})
	err := group.Wait()
	if stop := s.cmd.Process.Signal(syscall.SIGUSR1); stop != nil {
		return errors.Join(err, stop)
	}
	time.Sleep(time.Second) // until the host has written them
	for _, suffix := range []string{"", heapSuffix} {
		text, readErr := os.ReadFile(s.hostProfile() + suffix)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		err = errors.Join(err, os.WriteFile(name("host")+suffix, text, 0o644))
	}
	return err
}
