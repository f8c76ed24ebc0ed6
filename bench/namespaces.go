package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// namespaces is a site in which each node has a network namespace of its own, with a cable
// to a bridge in one more. The cables can be cut. Each namespace is held by a process, with
// which it ends and all that is in it: nothing is left behind, however the bench ends, and
// nothing is changed in the network of this machine.
type namespaces struct {
	bridge  *node
	holders []*node // by node
}

// errNoNamespaces says why there can be none here.
var errNoNamespaces = errors.New("network namespaces need Linux, root, and the programs ip, unshare and nsenter")

// newNamespaces makes a site for n nodes.
func newNamespaces(n int) (s *namespaces, err error) {
	if os.Geteuid() != 0 {
		return nil, errNoNamespaces
	}
	for _, program := range []string{"ip", "unshare", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoNamespaces, err)
		}
	}
	s = new(namespaces)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.bridge, err = holdNamespace(); err != nil {
		return nil, err
	}
	if err := ip(s.bridge, "link add bridge type bridge", "link set bridge up"); err != nil {
		return nil, err
	}
	for i := range n {
		holder, err := holdNamespace()
		if err != nil {
			return nil, err
		}
		s.holders = append(s.holders, holder)
		if err := ip(s.bridge,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %d", cable(i), holder.cmd.Process.Pid),
			fmt.Sprintf("link set %s master bridge up", cable(i)),
		); err != nil {
			return nil, err
		}
		if err := ip(holder, fmt.Sprintf("address add %s/24 dev eth0", address(i)), "link set eth0 up"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// holdNamespace starts a process that holds a namespace.
func holdNamespace() (*node, error) {
	n, err := startNode("namespace", "unshare", "--net")
	if err != nil {
		return nil, err
	}
	if !n.stdout.Scan() {
		n.stop()
		return nil, fmt.Errorf("%w: unshare --net failed", errNoNamespaces)
	}
	return n, nil
}

// runNamespace holds the namespace in which it is until its standard input is closed.
func runNamespace() error {
	fmt.Println("held")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// ip runs commands of that program in a namespace.
func ip(in *node, commands ...string) error {
	for _, c := range commands {
		args := append(inNamespace(in), append([]string{"ip"}, strings.Fields(c)...)...)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, out)
		}
	}
	return nil
}

// inNamespace is the command by which a program is started in the namespace that a process
// holds.
func inNamespace(holder *node) []string {
	return []string{"nsenter", "--net", "--target", strconv.Itoa(holder.cmd.Process.Pid)}
}

// cable is the name of what connects the i-th node with the bridge, at the bridge's end.
func cable(i int) string { return "cable" + strconv.Itoa(i) }

// address is one of those that are for documentation (RFC 5737): it is nobody's.
func address(i int) string { return "192.0.2." + strconv.Itoa(i+1) }

// cut cuts the cable of a node: what is sent there is lost, and nobody is told.
func (s *namespaces) cut(i int) error { return ip(s.bridge, "link set "+cable(i)+" down") }

// mend puts the cable of a node together again.
func (s *namespaces) mend(i int) error { return ip(s.bridge, "link set "+cable(i)+" up") }

func (s *namespaces) url(i int) string { return "http://" + address(i) + ":8001" }

func (s *namespaces) by(i int) []string { return inNamespace(s.holders[i]) }

func (s *namespaces) close() {
	for _, h := range s.holders {
		h.stop()
	}
	if s.bridge != nil {
		s.bridge.stop()
	}
}
