//go:build !unix

package discovery

// openNonblock is of no use where files have no names that are pipes.
const openNonblock = 0
