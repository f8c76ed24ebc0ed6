package store

// A selection adapts the policy to the load: it runs a shadow of each policy, and chooses the
// policy whose shadow has the most hits.
type selection struct {
	shadows [policies]shadow
	score   [policies][2]float64 // hits of each shadow, which fade over the short and the long span
	fade    [2]float64           // the part of a score that is left after one more request
	lead    [2]float64           // by how much a score must be higher than that of the policy in use
}

// A policy takes over when it has had more hits per request, by the lead, over the last span times
// size requests. The short span follows loads that change, the long one finds small differences.
const (
	shortSpan, shortLead = 4, 0.05
	longSpan, longLead   = 16, 0.003
	leadHits             = 2 // hits in addition, so that a tiny cache does not change by chance
)

func newSelection() *selection {
	sel := &selection{}
	for x := range sel.shadows {
		sel.shadows[x].init(policy(x))
	}
	return sel
}

// resize gives each shadow room for size entries.
func (sel *selection) resize(size int64) {
	for x := range sel.shadows {
		s := &sel.shadows[x]
		s.max = size
		s.shed()
	}
	n := float64(size)
	sel.fade = [2]float64{1 - 1/(shortSpan*n), 1 - 1/(longSpan*n)}
	sel.lead = [2]float64{shortSpan*shortLead*n + leadHits, longSpan*longLead*n + leadHits}
}

// thin drops the keys that are not in the sample any more.
func (sel *selection) thin(limit uint32) {
	for x := range sel.shadows {
		sel.shadows[x].thin(limit)
	}
}

// request passes one request on to each shadow.
func (sel *selection) request(hash uint64) {
	for x := range sel.shadows {
		hit := sel.shadows[x].get(hash)
		for i := range sel.fade {
			sel.score[x][i] *= sel.fade[i]
			if hit {
				sel.score[x][i]++
			}
		}
	}
}

// choose returns the policy that is best now, where now is in use.
func (sel *selection) choose(now policy) policy {
	used := &sel.score[now]
	for i, lead := range sel.lead {
		best := now
		for x := range sel.shadows {
			// A lead over the long span does not count if it is lost in the short one.
			if sel.score[x][i] > sel.score[best][i] && sel.score[x][0] >= used[0] {
				best = policy(x)
			}
		}
		if sel.score[best][i] > used[i]+lead {
			return best
		}
	}
	return now
}

func (sel *selection) bytes() (n int64) {
	for x := range sel.shadows {
		n += sel.shadows[x].bytes()
	}
	return n
}
