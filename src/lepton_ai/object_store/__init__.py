"""The one adapter to obstore: opens the store that holds a bucket, and translates what goes wrong in it."""
