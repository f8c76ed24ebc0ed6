package store

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"unsafe"
)

// Only this file uses unsafe to keep entries. Elsewhere in the package unsafe is used for sizes
// alone.
//
// An entry is one heap object that holds no pointers, so that the collector marks it and
// never looks inside:
//
//	| entry (20 bytes) | key | expiry part (16, if it expires) | meta part (8, if not 0) | value |
//
// If the key is long (maxShort), its length has 4 bytes of its own between the entry and the key.
//
// If the value is large (apartFrom), it is an object of its own, and the entry's object is
//
//	| apart (32 bytes, the last 8 point to the value) | key | expiry part | meta part |
//
// because a Get reads the entry and not the value: entries that lie close together share
// pages and cache lines, those with a large value between them share nothing. It also spares
// the values whose size is a power of two from being rounded up to the next size class.
//
// An object without pointers is allocated as []uint64, which aligns it for the atomic word in
// its head; one with a pointer as a struct, so that the collector knows where the pointer is.
// From then on a *entry to its first byte is all that is known of it. What makes that sound:
//
//   - The object is at least as long as the entry's own lengths say, so every offset computed
//     from them lies inside it. The lengths and flags never change.
//   - Lengths, flags, key, expires, meta and value are written before the entry is published
//     by an atomic store into the table, and never after. A string made from them is
//     immutable like any other, and keeps the object alive.
//   - No pointer is made to the end of an object: an empty value is "", not a view.
//   - A *entry is taken for an *apart only if isApart says that it was made as one.
type entry struct {
	// state packs the key's length and the flags, which never change, with the entry's queue
	// and its mark (entrystate.go). Readers record hits while the lock's holder moves the
	// entry, so every change is a compare-and-swap.
	state  atomic.Uint32
	valLen uint32

	// Guarded by the shard's lock.
	id   uint32 // in the table's ids; 0: not in the table
	next uint32 // the younger neighbour in its list (queue.go)
	prev uint32 // the older neighbour
}

const (
	keyLenBits = 16 // of state, lowest bits: the key's length, but for a long one
	maxShort   = 1<<keyLenBits - 1
	maxKeyLen  = isLong - 1
	maxValLen  = uint64(math.MaxUint32)

	hasExpiry  = 1 << 16
	hasMeta    = 1 << 17
	apartShift = 18
	isApart    = 1 << apartShift
	queueShift = 19 // two bits for the entry's place: inNone, inSmall or inMain
	queueMask  = 3 << queueShift
	isLong     = 1 << 21
	countShift = 24 // the mark, highest: hits and the epoch of the last
	countBits  = 2
	maxCount   = 1<<countBits - 1
	epochShift = countShift + countBits
	epochBits  = 32 - epochShift

	entryHead   = unsafe.Sizeof(entry{})
	apartHead   = unsafe.Sizeof(apart{})
	longBytes   = 4         // the length of a long key
	expiryBytes = 8 + 4 + 4 // expires, and the entry's neighbours in the wheel
	metaBytes   = 8
	wordBytes   = 8
	// apartPadding makes an apart head 32 bytes long where pointers have 4 bytes, too.
	apartPadding = 12 - pointerBytes
	pointerBytes = int(unsafe.Sizeof(uintptr(0)))
)

// apart is the head of an entry whose value is an object of its own.
type apart struct {
	entry
	_     [apartPadding]byte
	value *byte
}

const (
	// apartFrom is the length from which a value is an object of its own.
	apartFrom = 512
	// maxTail is how much of key and optional parts fits behind an apart head. A longer one
	// keeps its value inside. Up to a total of 512 bytes, or of 128 where pointers have 4
	// bytes, the allocator adds no header of its own.
	maxTail = 8*pointerBytes*pointerBytes - int(apartHead)
)

// layout returns the flags of an entry, the bytes of its object, and of its value's object if
// that is another.
func layout(keyLen, valLen int, expires int64, meta uint64) (flags uint32, head, value int64) {
	tail := int64(keyLen)
	if keyLen > maxShort {
		flags |= isLong
		tail += longBytes
	}
	if expires != 0 {
		flags |= hasExpiry
		tail += expiryBytes
	}
	if meta != 0 {
		flags |= hasMeta
		tail += metaBytes
	}
	if valLen >= apartFrom && tail <= int64(maxTail) {
		return flags | isApart, int64(apartHead) + tail, int64(valLen)
	}
	return flags, int64(entryHead) + tail + int64(valLen), 0
}

// newEntry copies key and value into a new entry. The lengths are at most maxKeyLen and maxValLen.
func newEntry(key string, value []byte, expires int64, meta uint64) *entry {
	flags, size, apartSize := layout(len(key), len(value), expires, meta)
	var e *entry
	if flags&isApart != 0 {
		a := newApart(size)
		a.value = unsafe.SliceData(append([]byte(nil), value[:apartSize]...))
		e = &a.entry
	} else {
		words := make([]uint64, (size+wordBytes-1)/wordBytes)
		e = (*entry)(unsafe.Pointer(unsafe.SliceData(words)))
	}
	e.valLen = uint32(len(value))
	if rest := e.fill(flags, size, key, expires, meta); flags&isApart == 0 {
		copy(rest, value)
	}
	return e
}

// fill sets the state of a new entry with an object of size bytes, writes what stands before the
// value, and returns the rest of the object.
func (e *entry) fill(flags uint32, size int64, key string, expires int64, meta uint64) []byte {
	at := keyAt(flags)
	rest := unsafe.Slice(e.byteAt(at), uintptr(size)-at)
	if flags&isLong != 0 {
		e.state.Store(flags)
		binary.NativeEndian.PutUint32(rest, uint32(len(key)))
		rest = rest[longBytes:]
	} else {
		e.state.Store(uint32(len(key)) | flags)
	}
	rest = rest[copy(rest, key):]
	if flags&hasExpiry != 0 {
		binary.NativeEndian.PutUint64(rest, uint64(expires))
		rest = rest[expiryBytes:]
	}
	if flags&hasMeta != 0 {
		binary.NativeEndian.PutUint64(rest, meta)
		rest = rest[metaBytes:]
	}
	return rest
}

// renewed returns a new entry with the value of old. It has the same object for its value, if that is
// one of its own in both entries.
func renewed(key string, old Entry, expires int64, meta uint64) *entry {
	was, _, _ := layout(len(key), len(old.Value), old.Expires, old.Meta)
	flags, size, _ := layout(len(key), len(old.Value), expires, meta)
	if was&flags&isApart == 0 {
		return newEntry(key, bytesOf(old.Value), expires, meta)
	}
	a := newApart(size)
	a.value = unsafe.StringData(old.Value)
	a.valLen = uint32(len(old.Value))
	a.fill(flags, size, key, expires, meta)
	return &a.entry
}

// newApart allocates an apart head and what follows it, size bytes in all.
func newApart(size int64) *apart {
	tail := size - int64(apartHead)
	switch {
	case tail <= 16:
		return newTailed[[16]byte]()
	case tail <= 32:
		return newTailed[[32]byte]()
	case tail <= 48:
		return newTailed[[48]byte]()
	case tail <= 64:
		return newTailed[[64]byte]()
	case tail <= 96:
		return newTailed[[96]byte]()
	case tail <= 160:
		return newTailed[[160]byte]()
	case tail <= 224:
		return newTailed[[224]byte]()
	default:
		return newTailed[[maxTail]byte]()
	}
}

func newTailed[T any]() *apart {
	return &new(struct {
		apart
		tail T
	}).apart
}

// apartBytes returns what newApart allocates.
func apartBytes(size int64) int64 {
	for _, n := range [...]int64{48, 64, 80, 96, 128, 192, 256} {
		if size <= n {
			return n
		}
	}
	return int64(apartHead) + int64(maxTail)
}

// keyAt returns the offset of the key in an entry of that state, or of the length of a long one.
func keyAt(state uint32) uintptr {
	return entryHead + uintptr(state>>apartShift&1)*(apartHead-entryHead)
}

// byteAt returns the address of the entry's byte at offset, which is less than its size.
func (e *entry) byteAt(offset uintptr) *byte {
	return (*byte)(unsafe.Add(unsafe.Pointer(e), offset))
}

func (e *entry) key() string {
	state := e.state.Load()
	if state&isLong != 0 {
		return unsafe.String(e.byteAt(entryHead+longBytes), e.longLen())
	}
	return unsafe.String(e.byteAt(keyAt(state)), state&maxShort)
}

// has reports whether key, which is no longer than maxKeyLen, is short and e's. It decides for
// nearly every Get. If e's key is long, isLong makes the number that is compared larger than any
// length.
func (e *entry) has(key string) bool {
	state := e.state.Load()
	return int(state&(maxShort|isLong)) == len(key) && unsafe.String(e.byteAt(keyAt(state)), len(key)) == key
}

// hasLong reports whether key is e's and long.
func (e *entry) hasLong(key string) bool { return len(key) > maxShort && e.key() == key }

// longLen returns the length of e's key, which is long.
func (e *entry) longLen() uint32 {
	return binary.NativeEndian.Uint32(unsafe.Slice(e.byteAt(entryHead), longBytes))
}

// keyEnd returns the offset of what follows the key. state is that of e.
func (e *entry) keyEnd(state uint32) uintptr {
	if state&isLong != 0 {
		return entryHead + longBytes + uintptr(e.longLen())
	}
	return keyAt(state) + uintptr(state&maxShort)
}

// expiryPart returns the part with expires and the next and previous ids in the wheel. The entry
// has hasExpiry.
func (e *entry) expiryPart() *[expiryBytes]byte {
	state := e.state.Load()
	return (*[expiryBytes]byte)(unsafe.Pointer(e.byteAt(e.keyEnd(state))))
}

// view returns e as the store's callers see it.
func (e *entry) view() (v Entry) {
	state := e.state.Load()
	at := e.keyEnd(state)
	if state&hasExpiry != 0 {
		v.Expires = int64(binary.NativeEndian.Uint64(unsafe.Slice(e.byteAt(at), expiryBytes)))
		at += expiryBytes
	}
	if state&hasMeta != 0 {
		v.Meta = binary.NativeEndian.Uint64(unsafe.Slice(e.byteAt(at), metaBytes))
		at += metaBytes
	}
	if state&isApart != 0 {
		v.Value = unsafe.String((*apart)(unsafe.Pointer(e)).value, e.valLen)
	} else if e.valLen != 0 {
		v.Value = unsafe.String(e.byteAt(at), e.valLen)
	}
	return v
}

// plainValue returns the value of an entry that has neither a long key nor an expiry nor a meta. The
// state is that of e.
func (e *entry) plainValue(state uint32) string {
	if state&isApart != 0 {
		return unsafe.String((*apart)(unsafe.Pointer(e)).value, e.valLen)
	}
	if e.valLen == 0 {
		return ""
	}
	return unsafe.String(e.byteAt(entryHead+uintptr(state&maxShort)), e.valLen)
}

// is reports whether v is a view of e, and not of an earlier entry of its key.
func (e *entry) is(v Entry) bool {
	own := e.view()
	return own.Expires == v.Expires && own.Meta == v.Meta &&
		len(own.Value) == len(v.Value) && unsafe.StringData(own.Value) == unsafe.StringData(v.Value)
}

// bytesOf returns the bytes of s, for callees that only read them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
