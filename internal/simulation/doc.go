// Package simulation plays random scenarios of a cluster in virtual time, each drawn from a seed, and
// checks what the processes have returned against the promises.
//
//   - scenario.go, generator.go and sweeps.go: what is going to happen, and how it is drawn.
//   - player.go, node.go, calls.go, near.go, origin.go, forger.go: a scenario is played, and all that
//     happens is recorded in a history.
//   - network.go: what it is played over. Two of three scenarios take peertest.Network, the others
//     HTTPPool over a network of TCP in memory.
//   - check.go: the history is compared with the promises P1, P3, P6, P7 and P8. The checker knows
//     nothing of how they are kept.
//
// To play many scenarios, or one again:
//
//	go test ./internal/simulation -sim.seeds 2000
//	go test ./internal/simulation -run '^TestSimulation$' -sim.seed 17
package simulation
