//go:build race

package simulation

// defaultSeeds is how many scenarios TestSimulation plays unless told. The race
// detector makes each of them several times as slow.
const defaultSeeds = 200

const raceEnabled = true
