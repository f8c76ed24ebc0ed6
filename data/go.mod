module github.com/peercache/peercache/data

go 1.26.0

replace github.com/peercache/peercache => ..

require (
	github.com/peercache/peercache v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
