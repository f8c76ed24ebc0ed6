package packed

import "unsafe"

// Text is a string that need not be copied: one that never changes, or one that is valid until what it is from changes.
type Text struct {
	own    string
	shared []byte // nil: it is own
}

// Own is a Text that never changes.
func Own(s string) Text { return Text{own: s} }

// Shared is a Text that is valid as long as b, which is not nil.
func Shared(b []byte) Text { return Text{shared: b} }

// Len returns the number of bytes.
func (t Text) Len() int { return len(t.own) + len(t.shared) }

// String returns the Text for good.
func (t Text) String() string {
	if t.shared != nil {
		return string(t.shared)
	}
	return t.own
}

// View returns the Text as a string that is valid as long as the Text is: for who only looks at it.
func (t Text) View() string {
	if t.shared != nil {
		return unsafe.String(unsafe.SliceData(t.shared), len(t.shared))
	}
	return t.own
}

// Write writes the Text as a reply, or as a part of one.
func (t Text) Write(w interface {
	Bulk(s string)
	Bytes(b []byte)
}) {
	if t.shared != nil {
		w.Bytes(t.shared)
	} else {
		w.Bulk(t.own)
	}
}
