// Package integration tests the page of package admin in a browser. It is a module of its own, so that
// those who use peercache do not depend on what drives the browser.
package integration
