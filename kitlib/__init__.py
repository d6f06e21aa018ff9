"""kitlib: follow one DNS query through Kubernetes."""
