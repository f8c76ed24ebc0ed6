package gossip

import (
	"time"

	"github.com/hashicorp/memberlist"
)

// A Profile is how often members probe each other and how long they wait for an
// answer: what is seen fast costs packets, and on a slow network mistakes.
type Profile int

const (
	// LAN is for processes of one data centre. A crash is seen by all after about
	// 5 seconds in a cluster of up to ten processes, 12 in one of 300.
	LAN Profile = iota
	// WAN is for processes that are tens of milliseconds apart. A crash is seen
	// after about 40 seconds in a cluster of up to ten processes.
	WAN
	// Local is for processes on one machine, as in tests. A crash is seen after
	// about 2 seconds.
	Local
)

// config returns memberlist's settings for the profile.
func (p Profile) config() *memberlist.Config {
	switch p {
	case WAN:
		return memberlist.DefaultWANConfig()
	case Local:
		c := memberlist.DefaultLocalConfig()
		c.ProbeInterval = 300 * time.Millisecond
		c.ProbeTimeout = 200 * time.Millisecond
		c.SuspicionMaxTimeoutMult = 2
		c.AwarenessMaxMultiplier = 2
		c.GossipInterval = 20 * time.Millisecond
		c.PushPullInterval = time.Second
		return c
	}
	return memberlist.DefaultLANConfig()
}

// pace is how often a process tries to join.
type pace struct {
	first time.Duration // after the first attempt, while there is no other member
	most  time.Duration // after many, and while there are others
}

func (p Profile) joinPace() pace {
	if p == Local {
		return pace{first: 50 * time.Millisecond, most: 500 * time.Millisecond}
	}
	return pace{first: 500 * time.Millisecond, most: 10 * time.Second}
}
