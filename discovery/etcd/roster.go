package etcd

import (
	"maps"
	"slices"
)

const (
	// mostKeys bounds how many keys a process remembers. It is more than the ring of a pool
	// can have, so that a view of so many is not taken, and the last one stands.
	mostKeys = 1 << 16

	// longestValue bounds what it remembers of a key and of its value. No base URL is so
	// long: a pool leaves it out, with a warning.
	longestValue = 1 << 10
)

// clip returns a key or a value, or as much of it as is remembered.
func clip(b []byte) string { return string(b[:min(len(b), longestValue)]) }

// roster is who is in the view, by key: whose key is in etcd, and who stays for a
// while although it is not, because it may come back.
type roster struct {
	here    map[string]string
	missing map[string]string // none of them is in here
}

// read takes what a read of all keys found. Whose key is gone stays if keep is
// set, and leaves at once if not. Who was missing already goes on to be.
func (r *roster) read(found map[string]string, keep bool) {
	gone := r.here
	r.here = found
	for key, url := range gone {
		if _, ok := found[key]; !ok && keep {
			r.miss(key, url)
		}
	}
	maps.DeleteFunc(r.missing, func(key, _ string) bool { _, ok := found[key]; return ok })
}

// put takes the news that a key was written. There may be too many already.
func (r *roster) put(key, url string) {
	if _, known := r.here[key]; !known && len(r.here) >= mostKeys {
		return
	}
	r.here[key] = url
	delete(r.missing, key)
}

// remove takes the news that a key is gone. keep is as for read.
func (r *roster) remove(key string, keep bool) {
	if url, ok := r.here[key]; ok && keep {
		r.miss(key, url)
	}
	delete(r.here, key)
}

func (r *roster) miss(key, url string) {
	if r.missing == nil {
		r.missing = make(map[string]string)
	}
	r.missing[key] = url
}

// giveUp lets those go that are missing.
func (r *roster) giveUp() { r.missing = nil }

// peers returns the base URLs, each once, in order.
func (r *roster) peers() []string {
	peers := slices.AppendSeq(make([]string, 0, len(r.here)+len(r.missing)), maps.Values(r.here))
	peers = slices.AppendSeq(peers, maps.Values(r.missing))
	slices.Sort(peers)
	return slices.Compact(peers)
}
