module github.com/peercache/peercache

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/golang/protobuf v1.5.4
	go.uber.org/goleak v1.3.0
	golang.org/x/sync v0.24.0
	google.golang.org/protobuf v1.36.12
)
