// Package rpc is the gRPC side of a cache. It has two parts, each of use without the other.
//
// A Server is a front door: clients in any language get, set, remove and watch the groups of a node.
// The protocol is the service peercache.v1.Cache in proto/peercache/v1/cache.proto, and there are
// health checks and reflection.
//
//	tokens, err := door.NewTokens(map[string]door.Rights{token: {May: door.AllRights}})
//	server, err := rpc.New([]door.Cache{scores}, rpc.WithTokens(tokens))
//	go server.Serve(listener)
//	defer server.Shutdown(ctx)
//
// Tunnel and Listen carry what peers say to each other through gRPC calls, for networks that let
// nothing else through.
//
// It is a module of its own, so that those who do without it depend on nothing of gRPC.
package rpc
