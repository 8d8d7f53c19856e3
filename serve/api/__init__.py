"""HTTP: routes, schemas, authentication, errors."""
