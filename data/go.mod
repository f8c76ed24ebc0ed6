module github.com/peercache/peercache/data

go 1.26.0

replace github.com/peercache/peercache => ..

require github.com/peercache/peercache v0.0.0
