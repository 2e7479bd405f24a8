(component (import "acme:thing/magic@1.0.0" (instance (export "cast" (func)))))
