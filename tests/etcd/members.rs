//! What happens to members of etcd: killed, frozen, emptied, put back.
