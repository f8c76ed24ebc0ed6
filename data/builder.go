package data

// builder is the engine's Writer that makes a Reply.
type builder struct {
	to   *Reply  // where the Reply goes when it is complete
	open []frame // replies that are not complete
}

// frame is a reply that has others in it, of which left are missing.
type frame struct {
	reply Reply
	left  int
}

// Proto implements engine.Writer: a Reply has what version 3 has.
func (b *builder) Proto() int { return 3 }

func (b *builder) add(r Reply) {
	for len(b.open) > 0 {
		f := &b.open[len(b.open)-1]
		f.reply.List = append(f.reply.List, r)
		if f.left--; f.left > 0 {
			return
		}
		r = f.reply
		b.open = b.open[:len(b.open)-1]
	}
	*b.to = r
}

func (b *builder) begin(kind ReplyKind, n int) {
	r := Reply{Kind: kind, List: make([]Reply, 0, n)}
	if n == 0 {
		b.add(r)
		return
	}
	b.open = append(b.open, frame{r, n})
}

func (b *builder) Simple(s string)  { b.add(Reply{Kind: StatusReply, Str: s}) }
func (b *builder) Error(s string)   { b.add(Reply{Kind: ErrorReply, Str: s}) }
func (b *builder) Int(n int64)      { b.add(Reply{Kind: IntReply, Int: n}) }
func (b *builder) Bulk(s string)    { b.add(Reply{Kind: StringReply, Str: s}) }
func (b *builder) Bytes(s []byte)   { b.add(Reply{Kind: StringReply, Str: string(s)}) }
func (b *builder) Null()            { b.add(Reply{}) }
func (b *builder) NullArray()       { b.add(Reply{Kind: NullListReply}) }
func (b *builder) Double(f float64) { b.add(Reply{Kind: FloatReply, Float: f}) }
func (b *builder) Array(n int)      { b.begin(ListReply, n) }
func (b *builder) Map(n int)        { b.begin(MapReply, 2*n) }
func (b *builder) Set(n int)        { b.begin(SetReply, n) }
