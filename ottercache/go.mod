module github.com/peercache/peercache/ottercache

go 1.26.0

require (
	github.com/maypok86/otter/v2 v2.4.0
	github.com/peercache/peercache v0.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/peercache/peercache => ../
