(component
  (import "lsrun:host/settings@0.1.0" (instance $settings
    (export "get" (func (result string)))
    (export "at" (func (param "pointer" string) (result (option string))))))
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64))
  (core instance $i (instantiate $m))
  (core func (canon lower (func $settings "get") (memory (core memory $i "memory"))
    (realloc (core func $i "realloc"))))
  (instance $check) (export "lsrun:plugin/check@0.1.0" (instance $check)))
