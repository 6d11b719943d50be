"""What runs inside an endpoint replica: a user's class or a model file, behind HTTP."""
