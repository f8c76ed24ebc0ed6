package strings_test

import (
	"math/rand"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

func TestD4SetAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `SET a 1`, `GET a`, `GET b`, `SET a "x y\x00\xff"`, `GET a`, `STRLEN a`, `STRLEN b`, `SET`, `SET a`, `GET`, `GET a b`,
		`SET a 1 EX 100`, `TTL a`, `SET a 1 PX 100000`, `PTTL a`, `SET a 2 KEEPTTL`, `TTL a`, `SET a 3`, `TTL a`,
		`SET a 1 EX 0`, `SET a 1 EX -1`, `SET a 1 PX 0`, `SET a 1 EX x`, `SET a 1 EX 1.5`, `SET a 1 EX`, `SET a 1 EX 10 PX 10`, `SET a 1 EX 10 EX 200`, `TTL a`,
		`SET a 1 EX 9223372036854775807`, `SET a 1 EX 9223372036854775`, `SET a 1 PX 9223372036854775807`, `SET a 1 PXAT 9223372036854775807`, `PEXPIRETIME a`,
		`SET a 1 EXAT 9223372036854775`, `SET a 1 EXAT 9223372036854776`,
		`SET a 1 EXAT 1`, `GET a`, `SET a 1 PXAT 1`, `EXISTS a`, `SET a 1 EXAT 0`, `SET a 1 PXAT -1`, `SET a 1 NX XX`, `SET a 1 XX NX`, `SET a 1 EX 1 KEEPTTL`, `SET a 1 KEEPTTL EX 1`,
		`SET a 1 PERSIST`, `SET a 1 GET NONSENSE`, `SET a 1 NONSENSE`, `SET a 1 keepttl keepttl nx nx`,
		`SET n 1 NX`, `SET n 2 NX`, `GET n`, `SET n 3 XX`, `SET m 3 XX`, `GET m`, `SET n 4 GET`, `SET m 5 GET`, `SET n 6 NX GET`, `SET k 7 NX GET`, `SET l 8 XX GET`, `SET n 9 XX GET EX 100`, `TTL n`, `SET n 9 XX GET EX`,
		`SETNX a 1`, `SETNX q 1`, `SETNX q 2`, `GET q`, `SETEX a 100 v`, `TTL a`, `SETEX a 0 v`, `SETEX a x v`, `SETEX a 10`, `PSETEX a 100000 v`, `TTL a`, `PSETEX a -5 v`, `GET a`,
		`GETSET a w`, `TTL a`, `GETSET new w`, `GETDEL new`, `GETDEL new`, `EXISTS new`,
		`GETEX a`, `GETEX a EX 100`, `TTL a`, `GETEX a PERSIST`, `TTL a`, `GETEX a PERSIST`, `GETEX a PX 0`, `GETEX a EX x`, `GETEX none EX x`, `GETEX none NX`, `GETEX a NX`, `GETEX a KEEPTTL`,
		`GETEX a PERSIST EX 100`, `GETEX a EX 100 PERSIST`, `GETEX a EXAT 1`, `GET a`, `GETEX q PXAT 99999999999999`, `PEXPIRETIME q`, `GETEX q EX 1 EX`,
		`MSET a 1 b 2 a 3`, `MGET a b c`, `MSET a`, `MSET a 1 b`, `MSETNX a 1 z 2`, `GET z`, `MSETNX y 1 z 2 y 3`, `MGET y z`, `MSETNX y`, `MSETNX y 1 z`, `MGET`)
}

func value(r *rand.Rand) string {
	return redistest.Pick(r, "", "0", "1", "-1", "12345678901234567890", "abc", "9223372036854775807", "1.5", "a\x00\xff", "01", string(make([]byte, 50)))
}

func TestD4SetsAtRandom(t *testing.T) {
	for seed := range int64(4) {
		redistest.New(t).Events().Random(t, seed, 3000, func(r *rand.Rand) []string {
			key := redistest.Key(r, "key:", 6)
			switch r.Intn(12) {
			case 0, 1, 2:
				args := []string{"SET", key, value(r)}
				for r.Intn(2) == 0 {
					args = append(args, redistest.Pick(r, "nx", "XX", "GET", "KEEPTTL", "EX", "PX", "PERSIST", "600000", "EXAT", "PXAT", "0", "5000000000", "5000000000000"))
				}
				return args
			case 3:
				args := []string{"GETEX", key}
				for r.Intn(2) == 0 {
					args = append(args, redistest.Pick(r, "EX", "PX", "EXAT", "PXAT", "PERSIST", "10000000", "600000", "5000000000000"))
				}
				return args
			case 4:
				return []string{"MSET", key, value(r), redistest.Key(r, "key:", 6), value(r)}
			case 5:
				return []string{"MSETNX", key, value(r), redistest.Key(r, "key:", 6), value(r)}
			case 6:
				return []string{"SETEX", key, redistest.Pick(r, "100", "0", "x", "-1"), value(r)}
			case 7:
				return []string{"PSETEX", key, redistest.Pick(r, "100000", "0", "x", "-1"), value(r)}
			case 8:
				return []string{redistest.Pick(r, "SETNX", "GETSET"), key, value(r)}
			case 9:
				return []string{"MGET", key, redistest.Key(r, "key:", 9)}
			case 10:
				return []string{"DEL", key}
			}
			return []string{redistest.Pick(r, "GET", "STRLEN", "GETDEL", "TTL"), key}
		}, redistest.Options{Encodings: true})
	}
}
