/* @about@. */
#include "plugin.h"

bool exports_lsrun_plugin_restored_run(lsrun_host_types_own_restore_plan_t plan,
                                       lsrun_host_types_own_replaced_t replaced,
                                       lsrun_host_types_error_t *error) {
  (void)error;
  lsrun_string_t source, path;
  lsrun_host_types_method_restore_plan_source(lsrun_host_types_borrow_restore_plan(plan), &source);
  lsrun_host_types_method_replaced_path(lsrun_host_types_borrow_replaced(replaced), &path);
  lsrun_log("info", "%.*s is restored from %.*s", (int)path.len, (char *)path.ptr,
            (int)source.len, (char *)source.ptr);
  return true;
}
