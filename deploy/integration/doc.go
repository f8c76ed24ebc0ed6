// Package integration has the tests of what peercached is shipped by: the image, the compose file,
// the Helm chart, the systemd units, the packages of a release and the list of what is in them. Its
// module has the libraries that the tools themselves are made of, so that the tests need neither the
// network nor Docker. Nobody imports it.
package integration
