//go:build !race

package peercache_test

// simDefaultSeeds is how many scenarios TestSimulation plays unless told.
const simDefaultSeeds = 1000
