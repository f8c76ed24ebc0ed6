package set

import "strings"

// Keep returns what undoes the next change, which is one of that member.
func (s *Set) Keep(member string) (undo func()) {
	if s.table == nil {
		before := *s.Clone().(*Set)
		return func() { *s = before }
	}
	member = strings.Clone(member)
	if s.Has(member) {
		return func() { s.Add(member) }
	}
	return func() { s.Remove(member) }
}
