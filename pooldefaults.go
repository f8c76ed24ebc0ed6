package peercache

import "time"

// The defaults of WithHandover.
const (
	DefaultHandoverBytes = 256 << 20
	DefaultHandoverTime  = 10 * time.Second
)

// DefaultMaxUnproven is the default of WithMaxUnproven.
const DefaultMaxUnproven = 64

// DefaultViewChangeRate is the default of WithViewChangeRate, in changes a second.
const DefaultViewChangeRate = 10
