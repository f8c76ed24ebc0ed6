package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// shape is what the server says of the statement. It is never changed.
type shape struct {
	keys    keyType
	formats pgx.QueryResultFormats
	columns []uint32 // their types
}

// keyType is one of the types that keys can have.
type keyType struct {
	name    string
	array   uint32 // the type of the parameter
	element uint32 // that of the first column, or one that is as good
	// valid reports whether a key may be a value of the type. All that the server gets must be, because one
	// that is not would be an error for all keys of a batch.
	valid func(key string) bool
	// argument makes the parameter of keys that are valid.
	argument func(keys []string) any
}

var keyTypes = []keyType{
	{"text", pgtype.TextArrayOID, pgtype.TextOID, isText, texts},
	{"varchar", pgtype.VarcharArrayOID, pgtype.VarcharOID, isText, texts},
	{"bytea", pgtype.ByteaArrayOID, pgtype.ByteaOID, func(string) bool { return true }, byteas},
	{"uuid", pgtype.UUIDArrayOID, pgtype.UUIDOID, isUUID, uuids},
	{"smallint", pgtype.Int2ArrayOID, pgtype.Int2OID, isInt(16), ints},
	{"integer", pgtype.Int4ArrayOID, pgtype.Int4OID, isInt(32), ints},
	{"bigint", pgtype.Int8ArrayOID, pgtype.Int8OID, isInt(64), ints},
}

func isText(key string) bool { return utf8.ValidString(key) && strings.IndexByte(key, 0) < 0 }

// isInt reports whether a key is a number as the server writes it: "007" would come back as "7".
func isInt(bits int) func(key string) bool {
	return func(key string) bool {
		n, err := strconv.ParseInt(key, 10, bits)
		return err == nil && strconv.FormatInt(n, 10) == key
	}
}

// isUUID reports whether a key is one as the server writes it.
func isUUID(key string) bool {
	_, err := parseUUID(key)
	return err == nil && key == strings.ToLower(key)
}

func parseUUID(key string) (id [16]byte, err error) {
	digits := strings.ReplaceAll(key, "-", "")
	if len(key) != 36 || len(digits) != 32 || key[8] != '-' || key[13] != '-' || key[18] != '-' || key[23] != '-' {
		return id, fmt.Errorf("%q is no UUID", key)
	}
	_, err = hex.Decode(id[:], []byte(digits))
	return id, err
}

func texts(keys []string) any { return keys }

func byteas(keys []string) any {
	all := make([][]byte, len(keys))
	for i, key := range keys {
		all[i] = []byte(key)
	}
	return all
}

func uuids(keys []string) any {
	all := make([][16]byte, len(keys))
	for i, key := range keys {
		all[i], _ = parseUUID(key)
	}
	return all
}

func ints(keys []string) any {
	all := make([]int64, len(keys))
	for i, key := range keys {
		all[i], _ = strconv.ParseInt(key, 10, 64)
	}
	return all
}

// ttlTypes are the types that the third column can have.
var ttlTypes = map[uint32]bool{
	pgtype.IntervalOID: true, pgtype.Int2OID: true, pgtype.Int4OID: true, pgtype.Int8OID: true,
	pgtype.NumericOID: true, pgtype.Float4OID: true, pgtype.Float8OID: true,
}

// check asks the server for the shape of the statement, and returns an error if it is wrong. The pool calls
// it with each new connection.
func (o *Origin) check(ctx context.Context, conn *pgx.Conn) error {
	d, err := conn.PgConn().Prepare(ctx, "", o.Query, nil)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	s, err := shapeOf(d, conn.TypeMap())
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	o.shape.Store(s)
	return nil
}

func shapeOf(d *pgconn.StatementDescription, types *pgtype.Map) (*shape, error) {
	name := func(oid uint32) string {
		if t, ok := types.TypeForOID(oid); ok {
			return strings.TrimPrefix(t.Name, "_")
		}
		return fmt.Sprintf("of a type of the database's own (%d)", oid)
	}
	if len(d.ParamOIDs) != 1 {
		return nil, fmt.Errorf("it has %d parameters: want one, the keys, as in %s", len(d.ParamOIDs), example)
	}
	var s shape
	for _, t := range keyTypes {
		switch d.ParamOIDs[0] {
		case t.array:
			s.keys = t
		case t.element:
			return nil, fmt.Errorf("its parameter is one %s: want an array of keys, as in %s", t.name, example)
		}
	}
	if s.keys.name == "" {
		return nil, fmt.Errorf("its parameter is an array of keys that are %s: want them as text, as in key::text = ANY($1)", name(d.ParamOIDs[0]))
	}
	if n := len(d.Fields); n != 2 && n != 3 {
		return nil, fmt.Errorf("it returns %d columns: want the key, the value, and a TTL or not, as in %s", n, example)
	}
	for _, field := range d.Fields {
		format := int16(pgx.TextFormatCode)
		if field.DataTypeOID == pgtype.ByteaOID {
			format = pgx.BinaryFormatCode
		}
		s.formats, s.columns = append(s.formats, format), append(s.columns, field.DataTypeOID)
	}
	if !s.keys.isElement(s.columns[0]) {
		return nil, fmt.Errorf("its first column is %s: want the key, which is %s, as in %s", name(s.columns[0]), s.keys.name, example)
	}
	if len(s.columns) == 3 && !ttlTypes[s.columns[2]] {
		return nil, fmt.Errorf("its third column is %s: want a TTL, which is an interval or a number of seconds", name(s.columns[2]))
	}
	return &s, nil
}

// isElement reports whether keys of the type come back as they were asked for, from a column of another one.
func (t *keyType) isElement(oid uint32) bool {
	switch oid {
	case t.element:
		return true
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID: // of WHERE id = ANY($1), SELECT id::text
		return t.element != pgtype.ByteaOID
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return t.element == pgtype.Int2OID || t.element == pgtype.Int4OID || t.element == pgtype.Int8OID
	}
	return false
}

// describes reports whether rows are as the statement was when it was checked.
func (s *shape) describes(fields []pgconn.FieldDescription) bool {
	return slices.EqualFunc(fields, s.columns, func(f pgconn.FieldDescription, oid uint32) bool { return f.DataTypeOID == oid })
}
