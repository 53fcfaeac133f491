// Package cluster runs three hosts, each with etcd, PostgreSQL under Patroni and a Strongroom node, joined by a bridge, and breaks
// them under load: the primary is killed, a host cut off, processes stopped past their leases, a disk lost.
//
// Its one invariant: nothing gets out and nothing stays. The whole suite is started again inside namespaces of its own for
// processes, mounts and networks; when that ends, however it does, the kernel kills all that runs in there, and takes the networks
// and the memory file system with it. Every host is one more network namespace, and talks to the others by the bridge alone.
//
// Time budget: without STRONGROOM_CLUSTER_FAILOVERS, as in `make test`, the cluster starts and its primary is killed once: 60 seconds.
// `make cluster FAILOVERS=10` sets it, and does all the rest: some 20 minutes.
package cluster
