package modulepb_test

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mortise/core/wire/modulepb"
)

var grow = flag.Bool("grow", false, "add what module.proto has gained to contract.txt")

func compile(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{"."}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(t.Context(), "module.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}

func TestGenerated_IsAsNewAsTheProto(t *testing.T) {
	t.Parallel()
	want := protoutil.ProtoFromFileDescriptor(compile(t))
	want.SourceCodeInfo = nil
	got := protodesc.ToFileDescriptorProto(modulepb.File_module_proto)
	if !proto.Equal(want, got) {
		t.Error("module.pb.go is older than module.proto; run `go generate ./core/wire/modulepb`")
	}
	services := modulepb.File_module_proto.Services()
	for i := range services.Len() {
		s := services.Get(i)
		if got, want := methodsOf(t, s.Name()), methodNames(s); got != want {
			t.Errorf("module_grpc.pb.go: service %s has the methods %s, module.proto has %s; run `go generate ./core/wire/modulepb`", s.Name(), got, want)
		}
	}
}

func methodsOf(t *testing.T, service protoreflect.Name) string {
	t.Helper()
	descs := map[protoreflect.Name]*grpc.ServiceDesc{"Module": &modulepb.Module_ServiceDesc, "Host": &modulepb.Host_ServiceDesc}
	d, ok := descs[service]
	if !ok {
		t.Fatalf("service %s is unknown to this test", service)
	}
	var names []string
	for _, m := range d.Methods {
		names = append(names, m.MethodName)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

func methodNames(s protoreflect.ServiceDescriptor) string {
	var names []string
	for i := range s.Methods().Len() {
		names = append(names, string(s.Methods().Get(i).Name()))
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

func TestProto_ExplainsEverything(t *testing.T) {
	t.Parallel()
	file := compile(t)
	check := func(d protoreflect.Descriptor) {
		if strings.TrimSpace(file.SourceLocations().ByDescriptor(d).LeadingComments) == "" {
			t.Errorf("%s has no comment", d.FullName())
		}
	}
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		check(m)
		for j := range m.Fields().Len() {
			check(m.Fields().Get(j))
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		check(s)
		for j := range s.Methods().Len() {
			check(s.Methods().Get(j))
		}
	}
}

// The contract only grows: a line of contract.txt that module.proto no longer has would break modules in the field.
func TestProto_KeepsWhatTheContractPromises(t *testing.T) {
	t.Parallel()
	have := promises(modulepb.File_module_proto)
	text, err := os.ReadFile("contract.txt")
	if err != nil && !*grow {
		t.Fatal(err)
	}
	promised := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line == "" {
			continue
		}
		promised[line] = true
		if !have[line] {
			t.Errorf("contract.txt promises %q, module.proto does not have it", line)
		}
	}
	var all []string
	for line := range have {
		all = append(all, line)
		if !promised[line] && !*grow {
			t.Errorf("%q is new; run `go test ./core/wire/modulepb -grow` to promise it", line)
		}
	}
	if *grow && !t.Failed() {
		sort.Strings(all)
		if err := os.WriteFile("contract.txt", []byte(strings.Join(all, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func promises(file protoreflect.FileDescriptor) map[string]bool {
	lines := map[string]bool{}
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		lines["message "+string(m.Name())] = true
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			kind := f.Kind().String()
			if f.Message() != nil {
				kind = string(f.Message().FullName())
			}
			lines[fmt.Sprintf("field %s.%s = %d %s %s", m.Name(), f.Name(), f.Number(), f.Cardinality(), kind)] = true
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			lines[fmt.Sprintf("rpc %s.%s(%s) %s", s.Name(), m.Name(), m.Input().Name(), m.Output().Name())] = true
		}
	}
	return lines
}
