package lru

// segmentLen is how many buckets are allocated at a time, and the fewest that a table has. It is a
// power of two.
const segmentLen = 64

// table is a hash table from keys to entries that are chained in their buckets.
//
// It grows and shrinks by one bucket at a time (linear hashing), so that it has about as many
// buckets as entries, with a difference of at most a segment. It is not a Go map, because a map
// costs between 35 and 70 bytes an entry, depending on its size and its history, which no bound
// could count. A map also never gives memory back.
type table[V any] struct {
	segments []*[segmentLen]*entry[V]
	count    uint64 // entries

	// The buckets in use are 0 to buckets-1. half is the power of two with half <= buckets <
	// 2*half. A hash belongs in the bucket with the number hash modulo 2*half, or modulo half
	// if there is no such bucket yet.
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

// insert adds e. The table does not have its key.
func (t *table[V]) insert(e *entry[V]) {
	if t.count++; t.count > t.buckets {
		t.grow()
	}
	p := t.head(e.hash)
	e.chain = *p
	*p = e
}

// remove removes e, which is in the table.
func (t *table[V]) remove(e *entry[V]) {
	p := t.head(e.hash)
	for *p != e {
		p = &(*p).chain
	}
	*p = e.chain
	e.chain = nil
	t.count--
	// The slack of a segment keeps a full cache from growing and shrinking its table all the
	// time.
	if t.buckets > segmentLen && t.count+segmentLen < t.buckets {
		t.shrink()
	}
}

// grow adds a bucket, and moves to it the entries that belong there.
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

// shrink undoes a grow: it moves the entries of the last bucket back, and removes it.
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
