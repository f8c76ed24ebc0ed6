package peercache

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

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
