// Package peersv1 is peers.proto, and the code generated from it.
package peersv1

//go:generate go -C ../../../../../tools run ./genpb -grpc -dir ../rpc/proto/peercache/peers/v1 peers.proto
