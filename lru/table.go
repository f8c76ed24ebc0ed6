package lru

// segmentLen is how many buckets are allocated at a time, and the fewest that a
// table has. A power of two.
const segmentLen = 64

// table is a hash table from keys to entries that are chained in their buckets.
//
// It grows and shrinks by one bucket at a time (linear hashing), so that it has as
// many buckets as entries, give or take a segment. That is why it is not a Go map:
// a map of entries costs between 35 and 70 bytes an entry, by its size and its
// history, which no bound could count, and it never gives memory back.
type table[V any] struct {
	segments []*[segmentLen]*entry[V]
	count    uint64 // entries

	// The buckets in use are 0 to buckets-1. half is the power of two with
	// half <= buckets < 2*half. A hash belongs in the bucket that its low bits
	// name, taken modulo 2*half, or modulo half where that bucket is not there yet.
	buckets uint64
	half    uint64
}

func newTable[V any]() table[V] {
	return table[V]{
		segments: []*[segmentLen]*entry[V]{new([segmentLen]*entry[V])},
		buckets:  segmentLen,
		half:     segmentLen,
	}
}

// bucket returns the head of the chain in bucket i.
func (t *table[V]) bucket(i uint64) **entry[V] {
	return &t.segments[i/segmentLen][i%segmentLen]
}

// head returns the head of the chain that a hash belongs in.
func (t *table[V]) head(hash uint64) **entry[V] {
	i := hash & (2*t.half - 1)
	if i >= t.buckets {
		i &= t.half - 1
	}
	return t.bucket(i)
}

func (t *table[V]) find(hash uint64, key string) *entry[V] {
	for e := *t.head(hash); e != nil; e = e.chain {
		if e.hash == hash && e.key == key {
			return e
		}
	}
	return nil
}

// insert adds e, whose key must not be there.
func (t *table[V]) insert(e *entry[V]) {
	if t.count++; t.count > t.buckets {
		t.grow()
	}
	p := t.head(e.hash)
	e.chain = *p
	*p = e
}

// remove drops e, which must be there.
func (t *table[V]) remove(e *entry[V]) {
	p := t.head(e.hash)
	for *p != e {
		p = &(*p).chain
	}
	*p = e.chain
	e.chain = nil
	t.count--
	// A segment's slack keeps a table at its full size from moving back and forth.
	if t.buckets > segmentLen && t.count+segmentLen < t.buckets {
		t.shrink()
	}
}

// grow splits one bucket's entries between it and a new last bucket.
func (t *table[V]) grow() {
	b := t.buckets
	if b/segmentLen == uint64(len(t.segments)) {
		t.segments = append(t.segments, new([segmentLen]*entry[V]))
	}
	from, to := t.bucket(b-t.half), t.bucket(b)
	for *from != nil {
		e := *from
		if e.hash&(2*t.half-1) != b {
			from = &e.chain
			continue
		}
		*from = e.chain
		e.chain = *to
		*to = e
	}
	if t.buckets++; t.buckets == 2*t.half {
		t.half *= 2
	}
}

// shrink undoes a grow: the last bucket's entries go back to where they came from.
func (t *table[V]) shrink() {
	if t.buckets--; t.buckets < t.half {
		t.half /= 2
	}
	b := t.buckets
	from, to := t.bucket(b), t.bucket(b-t.half)
	for *to != nil {
		to = &(*to).chain
	}
	*to, *from = *from, nil
	if b%segmentLen == 0 {
		last := len(t.segments) - 1
		t.segments[last] = nil
		t.segments = t.segments[:last]
	}
}
