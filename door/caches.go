package door

import (
	"errors"
	"fmt"
	"net"
	"reflect"

	"github.com/peercache/peercache/internal/quote"
)

// ByName returns caches by their names. It returns an error if one is nil, or if two have the same
// name.
func ByName(caches []Cache) (map[string]Cache, error) {
	named := make(map[string]Cache, len(caches))
	for i, c := range caches {
		if v := reflect.ValueOf(c); c == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, fmt.Errorf("group %d is nil", i)
		}
		name := c.Name()
		if named[name] != nil {
			return nil, fmt.Errorf("two groups have the name %s", quote.Key(name))
		}
		named[name] = c
	}
	if len(named) == 0 {
		return nil, errors.New("no groups: want at least one")
	}
	return named, nil
}

// IsLocal reports whether nobody but this machine reaches a listener with an address.
func IsLocal(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}
