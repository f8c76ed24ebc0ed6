package hash

import "strings"

// Keep returns what undoes the next change, which is one of that field.
func (h *Hash) Keep(field string) (undo func()) {
	if h.table == nil {
		flat := h.flat.Clone()
		return func() { *h = Hash{flat: flat} }
	}
	n := h.table.dict.Get(field)
	if n == nil {
		field = strings.Clone(field)
		return func() { h.Delete(field) }
	}
	field, value := n.Key, n.Value
	return func() { h.Set(field, value) }
}
