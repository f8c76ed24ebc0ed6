package simulation

import (
	"fmt"
	"testing"
)

// Play plays the scenario of a seed over HTTP that goes through c, for the tests of a Carrier in
// another module, and checks it as TestSimulation does. It is called in a bubble of synctest. It
// returns the first promise that was broken, with what led to it; nothing, if all were kept.
func Play(t *testing.T, seed uint64, c Carrier) (broken string) {
	s := newScenario(seed)
	s.transport, s.carrier = overHTTP, c
	h := play(t, s)
	all := check(s, h, rules{})
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("seed %d breaks %d times. First:\n%v\nThe key until then:\n%s", seed, len(all), all[0], h.trace(all[0].key, all[0].at, mostTraced))
}

// mostTraced is how many events are shown before a violation.
const mostTraced = 40
