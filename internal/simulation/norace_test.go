//go:build !race

package simulation

// defaultSeeds is how many scenarios TestSimulation plays unless told.
const defaultSeeds = 1000

const raceEnabled = false
