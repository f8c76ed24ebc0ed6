// Package peercachev1 is the protocol of the gRPC door: cache.proto, and the code generated from it,
// with a client.
package peercachev1

//go:generate go -C ../../../../tools run ./genpb -grpc -dir ../rpc/proto/peercache/v1 cache.proto
