package store

// queues are lists of entries from old to young. They are linked by id, so that they cost no memory
// of their own, and an entry leaves from the middle in a few steps.
//
// An entry at an end of a list has listRef and the number of the list in place of the neighbour
// that it lacks. So no entry has to record its list, and two lists are joined without a walk.
type queues struct {
	residents
	lists [1 + segments]struct{ old, young uint32 } // 0: empty
}

// residents finds entries by id: those of the table, or those of a shadow.
type residents interface {
	entry(id uint32) *entry
	hashOf(e *entry) uint64
	costOf(e *entry) int64
}

// oldest returns the oldest entry of a list, or nil.
func (q *queues) oldest(list uint32) *entry {
	if id := q.lists[list].old; id != 0 {
		return q.entry(id)
	}
	return nil
}

// push makes e, which is in no list, the youngest of a list.
func (q *queues) push(list uint32, e *entry) {
	ends := &q.lists[list]
	e.prev, e.next = ends.young, listRef|list
	if ends.young == 0 {
		e.prev = listRef | list
		ends.old = e.id
	} else {
		q.entry(ends.young).next = e.id
	}
	ends.young = e.id
}

// unlink takes e out of its list.
func (q *queues) unlink(e *entry) {
	if e.prev&listRef == 0 {
		q.entry(e.prev).next = e.next
	} else {
		q.lists[e.prev&^listRef].old = idOf(e.next)
	}
	if e.next&listRef == 0 {
		q.entry(e.next).prev = e.prev
	} else {
		q.lists[e.next&^listRef].young = idOf(e.prev)
	}
	e.prev, e.next = 0, 0
}

// idOf returns the neighbour that a link leads to, or 0.
func idOf(link uint32) uint32 {
	if link&listRef != 0 {
		return 0
	}
	return link
}

// join moves all entries of the list older to the old end of the list younger.
func (q *queues) join(older, younger uint32) {
	from, to := &q.lists[older], &q.lists[younger]
	if from.old == 0 {
		return
	}
	q.entry(from.old).prev = listRef | younger
	if to.old == 0 {
		q.entry(from.young).next = listRef | younger
		to.young = from.young
	} else {
		q.entry(from.young).next = to.old
		q.entry(to.old).prev = from.young
	}
	to.old = from.old
	from.old, from.young = 0, 0
}
