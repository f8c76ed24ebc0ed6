//go:build race

package peercache_test

// simDefaultSeeds is how many scenarios TestSimulation plays unless told. The race
// detector makes each of them several times as slow.
const simDefaultSeeds = 200
