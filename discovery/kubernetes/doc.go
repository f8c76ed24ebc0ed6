// Package kubernetes finds the peers among the pods of a Kubernetes service: it
// watches the service's EndpointSlices, and a change of the pods is a new view
// within moments.
//
//	d, err := kubernetes.New("peercache")
//
// It registers nothing: Kubernetes does that. A pod is a peer when it is ready and
// not about to end. So
//
//   - the readiness probe has to succeed as soon as the pool listens, and must not
//     wait for HTTPPool.Join: Join waits until the pod is a peer. A TCP probe of the
//     port of the peers does that, and so does publishNotReadyAddresses of the
//     service;
//   - a pod that is terminating is no peer, though it still answers: its keys have
//     another owner before it is gone. Give it a few seconds between the two, by a
//     preStop hook that sleeps, so that the others know by the time it stops;
//   - a pod that is not ready any more, or not yet, is missing in the view that it
//     gets itself too. That view has Lapsed set. A pod that does not reach the API
//     server is not told.
//
// # What a pod calls itself
//
// The base URL of this process, the self of HTTPPool, is made of the address of
// the pod, which the downward API puts into its environment:
//
//	env:
//	  - name: POD_IP
//	    valueFrom: {fieldRef: {fieldPath: status.podIP}}
//	args: ["-self", "http://$(POD_IP):8001"]
//
// and http://[$(POD_IP)]:8001 where that is an IPv6 address, without the port if it is the
// one of the scheme, 80 or 443. The base URLs of the others get the scheme of self; its
// port, unless WithPort says otherwise; and addresses of its family. So a pod with addresses of both families is one peer.
//
// # What a pod may do
//
// It needs the verbs get, list and watch on endpointslices of the group
// discovery.k8s.io in the namespace of the service, and a token of its service
// account, which New uses, and which Kubernetes renews. WithClient asks with other credentials: a
// kubeconfig, a certificate, a token, whatever the rest.Config of client-go takes. The directory
// deploy has that and all else, for a StatefulSet and for a Deployment.
//
// # Who may ask a pod
//
// Any pod of the cluster reaches the port of the peers, as long as no NetworkPolicy keeps it from
// that. So the pool needs peercache.WithSecrets or peercache.WithTLS: deploy takes the secret
// from a Secret, and has a NetworkPolicy besides.
//
// While the API server does not answer, or refuses, the last view stands, and Run
// logs it and tries again after up to half a minute.
package kubernetes
