//go:build race

package peercache_test

const raceEnabled = true
