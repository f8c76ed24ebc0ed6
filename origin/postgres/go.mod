module github.com/peercache/peercache/origin/postgres

go 1.26.0

require (
	github.com/jackc/pgx/v5 v5.13.0
	github.com/peercache/peercache v0.0.0
)

replace github.com/peercache/peercache => ../..
