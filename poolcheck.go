package peercache

import (
	"cmp"
	"errors"
	"fmt"
)

// checkOptions completes the options with their defaults. It returns an error if two of
// them contradict each other, in whatever order they were given.
func (p *HTTPPool) checkOptions() error {
	if detect := p.detectionTime(); p.peerTimeout > 0 && p.peerTimeout < detect {
		return fmt.Errorf("WithPeerTimeout(%v) is shorter than the detection time, %v, so that a slow load would look like a peer that is gone: want a longer one, or a shorter WithDetectionTime", p.peerTimeout, detect)
	}
	if !p.streams && p.stream.LargeValue > 0 {
		return errors.New("WithoutStream and WithLargeValue: want one of them: without streams, all values take the plain way")
	}
	if p.compat && p.handover.given {
		return errors.New("WithGroupcacheCompat and WithHandover: want one of them: golang/groupcache takes nothing over")
	}
	basePath := DefaultBasePath
	if p.compat {
		basePath = groupcacheBasePath
	}
	p.basePath = cmp.Or(p.basePath, basePath)
	return nil
}
