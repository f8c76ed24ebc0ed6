package peercache

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
)

// Typed is a Group whose values are Ts: what is cached, and travels between
// peers, is what its codec makes of them. Its methods may be called concurrently.
type Typed[T any] struct {
	group *Group
	codec Codec[T]
}

// TypedResult is what Typed.GetMulti found for one key.
type TypedResult[T any] struct {
	Value T
	Err   error // as that of Typed.Get
}

// NewTypedGroup makes a group, as NewGroup does, whose loader returns Ts. The
// codec says what T is:
//
//	users, err := peercache.NewTypedGroup("users", 64<<20, peercache.JSON[User](), loadUser)
//	user, err := users.Get(ctx, "alice")
//
// A value that cannot be encoded is an error of the load.
func NewTypedGroup[T any, L Loader[T]](name string, cacheBytes int64, codec Codec[T], load L, opts ...GroupOption) (*Typed[T], error) {
	if codec == nil {
		return nil, fmt.Errorf("peercache: group %q: %w", name, errNoCodec)
	}
	getter := getterOf(codec, load)
	if getter == nil {
		return nil, fmt.Errorf("peercache: group %q: the loader is nil: want a function that loads from the origin", name)
	}
	g, err := NewGroup(name, cacheBytes, getter, opts...)
	if err != nil {
		return nil, err
	}
	return &Typed[T]{g, codec}, nil
}

// NewTyped gives a group that exists, and has a getter of its own, values of type
// T. The codec must understand what that getter returns.
func NewTyped[T any](g *Group, codec Codec[T]) (*Typed[T], error) {
	if g == nil {
		return nil, errors.New("peercache: NewTyped: the group is nil: want one of NewGroup's, or use NewTypedGroup")
	}
	if codec == nil {
		return nil, fmt.Errorf("peercache: group %q: %w", g.name, errNoCodec)
	}
	return &Typed[T]{g, codec}, nil
}

var errNoCodec = errors.New("the codec is nil: want one, such as JSON[T]()")

// Group returns the group underneath: its Stats, and the bytes of its values.
func (t *Typed[T]) Group() *Group { return t.group }

// Get returns the value of key, decoded for this caller alone, who may change it.
// Its errors are Group.Get's, and ErrDecode, with which the value stays cached:
// where versions whose bytes differ share a cache, Remove the key and Get again.
func (t *Typed[T]) Get(ctx context.Context, key string) (T, error) {
	view, err := t.group.Get(ctx, key)
	if err != nil {
		var none T
		return none, err
	}
	return t.decode(key, view)
}

// GetMulti returns one TypedResult for each key, in the same order, as
// Group.GetMulti does. A key that is given twice gets two values.
func (t *Typed[T]) GetMulti(ctx context.Context, keys []string) []TypedResult[T] {
	results := make([]TypedResult[T], len(keys))
	for i, r := range t.group.GetMulti(ctx, keys) {
		if results[i].Err = r.Err; r.Err == nil {
			results[i].Value, results[i].Err = t.decode(keys[i], r.View)
		}
	}
	return results
}

// Set makes v the value of key on all peers, as Group.Set does. The ttl is that
// of Item. A value that cannot be encoded changes nothing.
func (t *Typed[T]) Set(ctx context.Context, key string, v T, ttl time.Duration) error {
	var b []byte
	err := t.guarded(key, func() (err error) {
		b, err = encode(t.codec, v)
		return err
	})
	if err != nil {
		return t.group.keyError(key, err)
	}
	return t.group.Set(ctx, key, Item{Value: b, TTL: ttl})
}

// guarded calls f, which calls the codec, and makes an error of its panic.
func (t *Typed[T]) guarded(key string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			t.group.panicked("the codec", key, r)
			err = fmt.Errorf("the codec panicked: %v", r)
		}
	}()
	return f()
}

// Remove is Group.Remove.
func (t *Typed[T]) Remove(ctx context.Context, keys ...string) error {
	return t.group.Remove(ctx, keys...)
}

// Clear is Group.Clear.
func (t *Typed[T]) Clear(ctx context.Context) error { return t.group.Clear(ctx) }

// decode decodes all of a value or none of it.
func (t *Typed[T]) decode(key string, view ByteView) (T, error) {
	var v T
	err := t.guarded(key, func() (err error) {
		v, err = t.codec.Decode(view)
		return err
	})
	if err != nil {
		var none T
		return none, t.group.keyError(key, fmt.Errorf("%w, of %d bytes: %w", ErrDecode, view.Len(), err))
	}
	return v, nil
}

// A Loader is the getter of a group of Ts: a function of one of three forms. The
// first loads a value, the second says besides how long it lives (Item.TTL), and
// the third loads many at once, as BatchGetter describes it: one value for each
// key, in the same order, and a BatchError where only some of them have failed.
// In all else a Loader is held to what Getter says.
//
// Where the origin has no such key, a Loader returns ErrNotFound.
type Loader[T any] interface {
	func(ctx context.Context, key string) (T, error) |
		func(ctx context.Context, key string) (T, time.Duration, error) |
		func(ctx context.Context, keys []string) ([]T, error)
}

// getterOf makes a Getter of a Loader: nil of a nil one.
func getterOf[T any, L Loader[T]](codec Codec[T], load L) Getter {
	switch load := any(load).(type) {
	case func(context.Context, string) (T, error):
		if load != nil {
			return encoded(codec, func(ctx context.Context, key string) (T, time.Duration, error) {
				v, err := load(ctx, key)
				return v, 0, err
			})
		}
	case func(context.Context, string) (T, time.Duration, error):
		if load != nil {
			return encoded(codec, load)
		}
	case func(context.Context, []string) ([]T, error):
		if load != nil {
			return &batchLoader[T]{codec, load}
		}
	}
	return nil
}

// encoded makes a Getter of a function that loads one value.
func encoded[T any](codec Codec[T], load func(context.Context, string) (T, time.Duration, error)) Getter {
	return ItemFunc(func(ctx context.Context, key string) (Item, error) {
		v, ttl, err := load(ctx, key)
		if err != nil {
			return Item{}, err
		}
		b, err := encode(codec, v)
		return Item{Value: b, TTL: ttl}, err
	})
}

// batchLoader is the BatchGetter made of a function that loads many values.
type batchLoader[T any] struct {
	codec Codec[T]
	load  func(ctx context.Context, keys []string) ([]T, error)
}

// Get loads one key.
func (l *batchLoader[T]) Get(ctx context.Context, key string) (Item, error) {
	items, err := l.GetBatch(ctx, []string{key})
	if each, ok := errors.AsType[BatchError](err); ok && len(each) == 1 {
		err = each[0]
	}
	if err == nil && len(items) != 1 {
		err = fmt.Errorf("the loader returned %d values for 1 key, want one", len(items))
	}
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// GetBatch loads keys. That there is one value for each is for the group to check.
func (l *batchLoader[T]) GetBatch(ctx context.Context, keys []string) ([]Item, error) {
	values, err := l.load(ctx, keys)
	failed, partial := errors.AsType[BatchError](err)
	if err != nil && !partial || partial && len(failed) != len(keys) {
		return nil, err
	}
	items := make([]Item, len(values))
	if len(values) != len(keys) {
		return items, nil
	}
	errs := make(BatchError, len(keys))
	copy(errs, failed)
	for i, v := range values {
		if errs[i] == nil {
			items[i].Value, errs[i] = encode(l.codec, v)
		}
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return items, errs
	}
	return items, nil
}

// A Codec turns values of type T into the bytes that are cached, and back. JSON,
// Protobuf and Gob make codecs; any type with these two methods is one. Its
// methods are called from many goroutines.
//
// Encode runs within a load and within Set; Decode runs in the goroutine of each Get.
// A panic is an error of these. All peers must have codecs that
// understand each other, those of the version before and after a deploy too.
type Codec[T any] interface {
	// Encode returns v as bytes. They are copied: they stay the codec's.
	Encode(v T) ([]byte, error)
	// Decode makes a new value of what Encode returned; its caller may change
	// it. With an error, the value is not used. The view is of the cached bytes
	// themselves: nothing is copied to decode from its String or its Reader,
	// and nothing can be written through them. What a value keeps of the view
	// stays in memory with it.
	Decode(view ByteView) (T, error)
}

// JSON returns a codec that caches the JSON of a T, as encoding/json has it. If T is a
// pointer, nil and null are no values: Encode and Decode return an error. A nil slice or
// map is a value, as is null if T is an interface. To unmarshal, it copies the cached
// bytes, because a T may have an UnmarshalJSON of its own, which could keep them or write
// to them.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Encode(v T) ([]byte, error) {
	if isNilPointer(&v) { // json would write null, of which nobody could tell who has it
		return nil, fmt.Errorf("as JSON: a nil %v, want a value, or ErrNotFound where there is none", reflect.TypeFor[T]())
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("as JSON: %w", err)
	}
	return b, nil
}

func (jsonCodec[T]) Decode(view ByteView) (v T, err error) {
	if err = json.Unmarshal(view.ByteSlice(), &v); err == nil && isNilPointer(&v) {
		err = errors.New("null is no value of it")
	}
	if err != nil {
		err = fmt.Errorf("want the JSON of a %v: %w", reflect.TypeFor[T](), err)
	}
	return v, err
}

// Protobuf returns a codec of messages of type *M: Protobuf[pb.User]() is one of
// *pb.User. A nil message cannot be encoded.
func Protobuf[M any, T interface {
	*M
	proto.Message
}]() Codec[T] {
	return protoCodec[M, T]{}
}

type protoCodec[M any, T interface {
	*M
	proto.Message
}] struct{}

func (protoCodec[M, T]) Encode(v T) ([]byte, error) {
	if v == nil { // protobuf would take it for an empty message
		return nil, fmt.Errorf("as protobuf: a nil %T, want a message, or ErrNotFound where there is none", v)
	}
	b, err := proto.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("as protobuf: %w", err)
	}
	return b, nil
}

// Decode gives protobuf the cached bytes themselves. It only reads them, and
// copies what the message keeps.
func (protoCodec[M, T]) Decode(view ByteView) (T, error) {
	v := T(new(M))
	if err := proto.Unmarshal(view.bytes(), v); err != nil {
		return nil, fmt.Errorf("want the protobuf of a %s: %w", v.ProtoReflect().Descriptor().FullName(), err)
	}
	return v, nil
}

// Gob returns a codec that caches a T as encoding/gob has it. Each value carries
// the description of its type, so that Gob is slow, and large, for small values.
// A nil pointer cannot be encoded. encoding/gob is not hardened against bytes
// that were made to harm: use it among peers that you trust.
func Gob[T any]() Codec[T] { return gobCodec[T]{} }

type gobCodec[T any] struct{}

func (gobCodec[T]) Encode(v T) ([]byte, error) {
	if isNilPointer(&v) { // gob would panic
		return nil, fmt.Errorf("as gob: a nil %v, want a value, or ErrNotFound where there is none", reflect.TypeFor[T]())
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(&v); err != nil {
		return nil, fmt.Errorf("as gob: %w", err)
	}
	return buf.Bytes(), nil
}

func (gobCodec[T]) Decode(view ByteView) (v T, err error) {
	r := view.Reader()
	err = gob.NewDecoder(r).Decode(&v)
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes follow it", r.Len())
	}
	if err != nil {
		err = fmt.Errorf("want the gob of a %v: %w", reflect.TypeFor[T](), err)
	}
	return v, err
}

// isNilPointer reports whether T is a pointer, and v a nil one, or one to a nil one.
func isNilPointer[T any](v *T) bool {
	if reflect.TypeFor[T]().Kind() != reflect.Pointer {
		return false
	}
	p := reflect.ValueOf(v).Elem()
	for ; p.Kind() == reflect.Pointer; p = p.Elem() {
		if p.IsNil() {
			return true
		}
	}
	return false
}

// encode encodes a value that a loader returned or a caller set.
func encode[T any](codec Codec[T], v T) ([]byte, error) {
	b, err := codec.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("the value cannot be encoded: %w", err)
	}
	return b, nil
}
