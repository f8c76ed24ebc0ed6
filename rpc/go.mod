module github.com/peercache/peercache/rpc

go 1.26.0

replace (
	github.com/peercache/peercache => ..
	github.com/peercache/peercache/data => ../data
)

require (
	github.com/peercache/peercache v0.0.0
	github.com/peercache/peercache/data v0.0.0
	go.uber.org/goleak v1.3.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)
