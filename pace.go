package peercache

import "fmt"

// DefaultReconnectRate is the default of WithReconnectRate, in attempts a second.
const DefaultReconnectRate = 64

// WithReconnectRate bounds the attempts per second to reach peers that are away, of all such
// peers together: at least 1. The default is DefaultReconnectRate. If at most three quarters
// as many peers are away, each is tried at least once a second. With more of them it takes
// longer until a peer that is back is asked again, unless it tells of its view itself, as a
// process that starts does. The first two attempts after a failure are not held back.
func WithReconnectRate(perSecond int) PoolOption {
	return func(o *poolOptions) error {
		if perSecond < 1 {
			return fmt.Errorf("WithReconnectRate(%d): want at least 1", perSecond)
		}
		o.cluster.Pace.Rate = int64(perSecond)
		return nil
	}
}
