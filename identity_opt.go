package peercache

import "fmt"

// longestClusterName is in bytes.
const longestClusterName = 255

// WithCluster names the cluster that this process belongs to: "shop-production". Peers of
// another name, or of none, are refused, with an error that says so, so that a list of peers
// with an address of another cluster in it does no harm. The name has 1 to 255 letters,
// digits, '-', '_', '.' or '~', the same in all processes. The default is no name.
func WithCluster(name string) PoolOption {
	return func(o *poolOptions) error {
		if name == "" || len(name) > longestClusterName || !plainSegment(name) {
			return fmt.Errorf("WithCluster(%.*q): want 1 to %d letters, digits, '-', '_', '.' or '~'", longestClusterName, name, longestClusterName)
		}
		o.cluster.Name = name
		return nil
	}
}
