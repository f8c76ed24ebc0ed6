package keys_test

import (
	"math/rand"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

func TestD4KeysAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `MSET a 1 b 2 c 3`, `DEL`, `DEL a a x`, `UNLINK b x`, `EXISTS a c c`, `TOUCH c c x`, `TYPE c`, `TYPE x`, `KEYS *`, `DBSIZE`,
		`EXPIRE c 100`, `TTL c`, `PTTL c`, `EXPIRE c`, `EXPIRE c x`, `EXPIRE c 1.5`, `EXPIRE x 100`, `EXPIRE c 9223372036854775807`, `PEXPIRE c 9223372036854775807`, `EXPIRE c -9223372036854775808`,
		`PEXPIREAT c 9223372036854775807`, `PEXPIRETIME c`, `EXPIRETIME c`, `EXPIREAT c 9223372036854775`, `PEXPIRETIME c`, `EXPIREAT c 9223372036854775807`,
		`PEXPIREAT c 5000000000499`, `EXPIRETIME c`, `PEXPIREAT c 5000000000500`, `EXPIRETIME c`, `EXPIRETIME x`, `PEXPIRETIME x`, `TTL x`, `PTTL x`,
		`EXPIRE c 100 NX`, `EXPIRE c 100 LT`, `EXPIRE c 200 LT`, `EXPIRE c 50 GT`, `EXPIRE c 500 gt xx`, `TTL c`, `EXPIRE c 100 NX XX`, `EXPIRE c 100 NX GT`, `EXPIRE c 1 GT LT`, `EXPIRE c 1 NX LT`, `EXPIRE c 1 nonsense`, `EXPIRE c x nonsense`, `EXPIRE c x NX XX`,
		`PERSIST c`, `PERSIST c`, `PERSIST x`, `TTL c`, `EXPIRE c 100 XX`, `EXPIRE c 100 GT`, `TTL c`, `EXPIRE c 100 LT`, `TTL c`, `EXPIRE c 0`, `EXISTS c`, `SET c 1`, `EXPIREAT c 0`, `GET c`, `SET c 1`, `EXPIRE c -1 GT`, `EXPIRE c -1 LT`, `GET c`,
		`SET a 1 EX 100`, `SET b 2`, `RENAME a b`, `TTL b`, `GET b`, `EXISTS a`, `RENAME a b`, `RENAME x x`, `RENAME b b`, `RENAMENX b b`, `RENAMENX x y`, `SET a 1`, `RENAMENX a b`, `RENAMENX a z`, `GET z`, `RENAME a`,
		`COPY b d`, `TTL d`, `GET d`, `COPY z d`, `COPY z d REPLACE`, `GET d`, `TTL d`, `COPY x d`, `COPY x d REPLACE`, `COPY d d`, `COPY x x`, `COPY d e DB 0`, `COPY d e DB x`, `COPY d e DB 9999`, `COPY d e DB`, `COPY d e nonsense`, `COPY d`,
		`OBJECT ENCODING d`, `OBJECT ENCODING x`, `OBJECT ENCODING`, `OBJECT nonsense d`, `OBJECT`, `OBJECT FREQ d`, `OBJECT FREQ x`, `OBJECT IDLETIME d`, `OBJECT IDLETIME x`, `OBJECT REFCOUNT x`, `OBJECT HELP x`, `OBJECT encoding d d`,
		`RANDOMKEY`, `FLUSHDB`, `RANDOMKEY`, `DBSIZE`, `SET a 1`, `FLUSHALL ASYNC`, `DBSIZE`, `FLUSHALL nonsense`, `FLUSHDB SYNC`, `FLUSHDB SYNC SYNC`, `TIME`, `TIME x`,
		`SCAN`, `SCAN x`, `SCAN -1`, `SCAN 0 COUNT 0`, `SCAN 0 COUNT x`, `SCAN 0 COUNT`, `SCAN 0 nonsense 1`, `SCAN 0`, `MSET a 1 b 2 ab 3 abc 4`, `SCAN 0 MATCH a*`, `SCAN 0 MATCH ab COUNT 1000`, `SCAN 0 TYPE string`, `SCAN 0 TYPE STRING`, `SCAN 0 TYPE list`, `SCAN 0 TYPE nonsense`,
		`KEYS a?`, `KEYS [a]*`, `KEYS [^a]*`, `KEYS`, `KEYS ""`)
}

func TestD4KeysAtRandom(t *testing.T) {
	key := func(r *rand.Rand) string { return redistest.Key(r, "key:", 8) }
	for seed := range int64(4) {
		redistest.New(t).Events().Random(t, seed, 4000, func(r *rand.Rand) []string {
			switch r.Intn(10) {
			case 0:
				return []string{redistest.Pick(r, "DEL", "UNLINK", "TOUCH", "EXISTS"), key(r), key(r)}
			case 1, 2:
				args := []string{redistest.Pick(r, "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), key(r), redistest.Pick(r, "-1", "0", "x", "100000", "6000000", "5000000000", "50000000000000")}
				for r.Intn(2) == 0 {
					args = append(args, redistest.Pick(r, "NX", "XX", "GT", "LT"))
				}
				return args
			case 3:
				return []string{redistest.Pick(r, "RENAME", "RENAMENX", "COPY"), key(r), key(r)}
			case 4:
				return []string{"COPY", key(r), key(r), "REPLACE"}
			case 5:
				return []string{redistest.Pick(r, "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST", "TYPE"), key(r)}
			case 6:
				if r.Intn(30) == 0 {
					return []string{"FLUSHALL"}
				}
				return []string{redistest.Pick(r, "RANDOMKEY", "DBSIZE")}
			case 7:
				return []string{"SCAN", "0", "MATCH", redistest.Pick(r, "*", "key:[1-3]", "*2"), "COUNT", redistest.Pick(r, "1", "3", "100")}
			}
			return []string{"SET", key(r), redistest.Pick(r, "1", "abc", "99999999999999999999"), "EX", "3000"}[:3+2*r.Intn(2)]
		}, redistest.Options{Encodings: true})
	}
}
