package packed

// Form is a string in the form that a List has it in, for who keeps such strings itself. The zero Form is none.
type Form struct{ e entry }

// Set makes f the form of s, of which it keeps the memory.
func (f *Form) Set(s string) { f.e.set(s) }

// Size returns how many bytes the form has.
func (f *Form) Size() int { return f.e.size() }

// Put writes the form to the beginning of b, which must have room for it.
func (f *Form) Put(b []byte) { f.e.put(b) }

// Is reports whether b is the form.
func (f *Form) Is(b []byte) bool {
	n := f.e.headLen
	return len(b) == f.e.size() && b[0] == f.e.head[0] && string(b[:n]) == string(f.e.head[:n]) && string(b[n:]) == f.e.text
}

// Read returns the string with whose form b begins, as List.At does, and how many bytes the form has.
func Read(b, buf []byte) (s []byte, size int) { return (&List{b}).At(0, buf) }

// Size returns how many bytes the form has with which b begins.
func Size(b []byte) int { return (&List{b}).Next(0) }

// Check is Size for bytes of which nothing is known but that there are some. It returns 0 if b does not begin with a form.
func Check(b []byte) int { return check(b) }
