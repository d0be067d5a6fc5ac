//go:build tools

// Package tools pins the programs of a Kubernetes control plane that the end-to-end tests run,
// so that `go build` can make them from modules whose checksums are in go.sum.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
)
