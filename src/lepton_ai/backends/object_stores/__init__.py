"""Where the objects of buckets lie: a folder, an embedded SeaweedFS, or an S3 service elsewhere."""
