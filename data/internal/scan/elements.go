package scan

import "github.com/peercache/peercache/data/internal/engine"

// Found is what one call of HSCAN, SSCAN or ZSCAN finds.
type Found struct {
	options Options
	visited int // at the last place
	list    []string
}

// Visit counts an element, and reports whether it is wanted: whether the pattern allows its name.
func (f *Found) Visit(name string) bool {
	f.visited++
	return f.options.Fits(name)
}

// Add adds an element to the reply: its name, and its value if it has one.
func (f *Found) Add(texts ...string) { f.list = append(f.list, texts...) }

// Elements runs HSCAN, SSCAN or ZSCAN on an object of type T. step visits the elements at a place, adds those that are
// wanted, and returns the next place, or 0.
func Elements[T interface {
	comparable
	engine.Object
}](c *engine.Call, step func(object T, place uint64, found *Found) (next uint64)) error {
	place, err := Cursor(c.Args[2])
	if err != nil {
		return err
	}
	object, err := engine.Read[T](c, c.Args[1])
	if err != nil {
		return err
	}
	var none T
	if object == none { // Redis does not look at the options then
		Reply(c.W, 0, nil)
		return nil
	}
	var found Found
	if found.options, err = Parse(c.Args[3:], nil); err != nil {
		return err
	}
	next := found.options.Walk(place, func(place uint64) (uint64, int) {
		found.visited = 0
		next := step(object, place, &found)
		return next, found.visited
	})
	Reply(c.W, next, found.list)
	return nil
}
