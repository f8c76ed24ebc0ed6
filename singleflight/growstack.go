package singleflight

// A goroutine begins with a stack of 2 KiB, which is too little for a load. It would grow when it is
// deep in its calls, and each of them would have to be moved. To let it grow at the start, when there
// is nothing to move, costs a third of that.

// stackAhead is how much of the stack is set aside, in bytes: with what is below and the runtime's
// own reserve it makes for a stack of the next size.
const stackAhead = 4 << 10

//go:noinline
func growStack() byte {
	var room [stackAhead]byte
	return room[len(room)-1-int(room[0])]
}
