// Package datav1 is the protocol of data over gRPC: data.proto, and the code generated from it, with
// a client.
package datav1

//go:generate go -C ../../../../../tools run ./genpb -grpc -dir ../rpc/proto/peercache/data/v1 data.proto
