package store_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"mortise/core/tunnel"
)

// This file compares the two ways the session protocol could travel: frames on a unix socket, as it does, and one gRPC stream for each
// session. Both ends do nothing but answer so many bytes as the request's first says (times 64); host and module are two processes.

func contextOfProcess() context.Context { return context.Background() }

// rawCodec sends bytes as they are: what gRPC itself costs, without protobuf.
type rawCodec struct{}

func (rawCodec) Name() string { return "raw" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil //nolint:forcetypeassert // only used here
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize() //nolint:forcetypeassert // only used here
	return nil
}

var sessionStream = grpc.StreamDesc{StreamName: "Session", ServerStreams: true, ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
	answer := make([]byte, 64*256)
	for {
		var request []byte
		if err := s.RecvMsg(&request); err != nil {
			return err
		}
		part := answer[:64*int(request[0])]
		if err := s.SendMsg(&part); err != nil {
			return err
		}
	}
}}

// serveTransports listens on both.
func serveTransports(dir string) error {
	frames, err := net.Listen("unix", filepath.Join(dir, "frames.sock"))
	if err != nil {
		return err
	}
	go func() {
		for {
			nc, err := frames.Accept()
			if err != nil {
				return
			}
			go answerFrames(nc)
		}
	}()
	l, err := net.Listen("unix", filepath.Join(dir, "grpc.sock"))
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "bench", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{sessionStream}}, struct{}{})
	go func() { _ = server.Serve(l) }() // ends with the process
	return nil
}

func answerFrames(nc net.Conn) {
	defer nc.Close()
	r := tunnel.NewFrameReader(nc)
	answer := make([]byte, 64*256)
	var in, out []byte
	for {
		_, body, err := r.Read(in, 1<<20)
		if err != nil {
			return
		}
		in = body
		out = tunnel.Finish(append(tunnel.Begin(out, tunnel.KindRows), answer[:64*int(body[0])]...))
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// BenchmarkTransport is one request of 100 bytes and its answer.
//
//	go test ./core/store -run '^$' -bench Transport -benchtime 2s
func BenchmarkTransport(b *testing.B) {
	dir, _ := startHost(b)
	nc, err := net.Dial("unix", filepath.Join(dir, "frames.sock"))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	client, err := grpc.NewClient("unix://"+filepath.Join(dir, "grpc.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	stream, err := client.NewStream(b.Context(), &sessionStream, "/bench/Session")
	if err != nil {
		b.Fatal(err)
	}
	r := tunnel.NewFrameReader(nc)
	request := make([]byte, 100)
	var in, out []byte
	for _, size := range []byte{2, 50, 255} {
		request[0] = size
		b.Run(fmt.Sprintf("%dbytes/frames", 64*int(size)), func(b *testing.B) {
			for b.Loop() {
				out = tunnel.Finish(append(tunnel.Begin(out, tunnel.KindQuery), request...))
				if _, err := nc.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, in, err = r.Read(in, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%dbytes/grpc", 64*int(size)), func(b *testing.B) {
			for b.Loop() {
				if err := stream.SendMsg(&request); err != nil {
					b.Fatal(err)
				}
				var answer []byte
				if err := stream.RecvMsg(&answer); err != nil || len(answer) != 64*int(size) {
					b.Fatal(err)
				}
			}
		})
	}
}
