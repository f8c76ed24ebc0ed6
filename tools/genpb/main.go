// Command genpb generates Go code from .proto files, without a protoc binary: it
// compiles them with protocompile and hands them to the protoc-gen-go that this
// module's go.mod pins, and with -grpc to protoc-gen-go-grpc as well. The same sources
// give the same code on every machine.
//
//	go -C tools run ./genpb -dir ../pb peercache.proto
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	dir := flag.String("dir", ".", "the `directory` that the .proto files are in and the code goes to")
	grpc := flag.Bool("grpc", false, "generate the code of services too")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: genpb [-grpc] [-dir directory] file.proto ...")
		os.Exit(2)
	}
	plugins := []string{"protoc-gen-go"}
	if *grpc {
		plugins = append(plugins, "protoc-gen-go-grpc")
	}
	if err := generate(context.Background(), *dir, flag.Args(), plugins); err != nil {
		fmt.Fprintln(os.Stderr, "genpb:", err)
		os.Exit(1)
	}
}

// generate writes the Go code of the named files in dir. Each file must stand for
// itself: imports are not handed on to the generator.
func generate(ctx context.Context, dir string, files, plugins []string) error {
	req, err := compile(ctx, dir, files)
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		resp, err := runPlugin(ctx, plugin, req)
		if err != nil {
			return err
		}
		for _, f := range resp.GetFile() {
			if err := os.WriteFile(filepath.Join(dir, f.GetName()), []byte(f.GetContent()), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile turns the files into what protoc would hand to a plugin.
func compile(ctx context.Context, dir string, files []string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver: &protocompile.SourceResolver{ImportPaths: []string{dir}},
		// Source info carries the comments into the generated code.
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	linked, err := compiler.Compile(ctx, files...)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: files,
		Parameter:      proto.String("paths=source_relative"),
	}
	for _, f := range linked {
		req.ProtoFile = append(req.ProtoFile, protoutil.ProtoFromFileDescriptor(f))
	}
	return req, nil
}

// runPlugin runs a pinned generator. The working directory must be in this module, which
// "go -C tools run" sees to.
func runPlugin(ctx context.Context, name string, req *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "tool", name)
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stdout = &out
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	resp := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out.Bytes(), resp); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if msg := resp.GetError(); msg != "" {
		return nil, fmt.Errorf("%s: %s", name, msg)
	}
	return resp, nil
}
