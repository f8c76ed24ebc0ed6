// Package integration holds the OpenAPI file of package api against what its handler answers. It is a
// module of its own, so that those who use peercache do not depend on what reads such files.
package integration
