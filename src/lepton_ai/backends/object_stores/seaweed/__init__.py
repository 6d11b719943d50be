"""An embedded SeaweedFS: an S3 server of this machine's own, on loopback, started with the first bucket."""
