module github.com/peercache/peercache/data/redis

go 1.26.0

require (
	github.com/peercache/peercache v0.0.0
	github.com/peercache/peercache/data v0.0.0
	github.com/peercache/peercache/origin/redis v0.0.0
	github.com/redis/rueidis v1.0.79
	go.uber.org/goleak v1.3.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/peercache/peercache => ../..
	github.com/peercache/peercache/data => ..
	github.com/peercache/peercache/origin/redis => ../../origin/redis
)
