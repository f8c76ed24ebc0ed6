package data

import (
	"fmt"

	"github.com/peercache/peercache/data/internal/engine"
)

// Eviction says which keys leave a Memory that is full. Its String is Redis' name of it.
type Eviction uint8

// The kinds of eviction.
const (
	// NoEviction has none leave: commands that add something fail with ErrFull. It is the default.
	NoEviction = Eviction(engine.NoEviction)
	// EvictLRU has one leave, of a few at random, that was not used for the longest time.
	EvictLRU = Eviction(engine.EvictLRU)
	// EvictRandom has any leave.
	EvictRandom = Eviction(engine.EvictRandom)
	// EvictExpiring has one leave of those that expire, and soon at that. If none expires, commands fail with ErrFull.
	EvictExpiring = Eviction(engine.EvictExpires)
)

var evictionNames = [...]string{NoEviction: "noeviction", EvictLRU: "allkeys-lru", EvictRandom: "allkeys-random", EvictExpiring: "volatile-ttl"}

func (e Eviction) String() string {
	if int(e) < len(evictionNames) {
		return evictionNames[e]
	}
	return fmt.Sprintf("Eviction(%d)", uint8(e))
}

// ParseEviction returns the Eviction of Redis' name.
func ParseEviction(name string) (Eviction, error) {
	for e, n := range evictionNames {
		if n == name {
			return Eviction(e), nil
		}
	}
	return 0, fmt.Errorf("data: there is no eviction %q: want one of %q", name, evictionNames)
}

// WithEviction has keys leave where there is no room by WithBytes, so that commands go on. With any Eviction but NoEviction data
// vanishes that nobody has removed: it is a choice for what can be had again elsewhere.
func WithEviction(e Eviction) MemoryOption {
	return func(o *memoryOptions) error {
		if int(e) >= len(evictionNames) {
			return fmt.Errorf("WithEviction(%v): there is none such", e)
		}
		o.eviction = e
		return nil
	}
}
