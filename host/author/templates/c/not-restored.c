/* @about@. */
#include "plugin.h"

bool exports_lsrun_plugin_not_restored_run(lsrun_host_types_own_restore_plan_t plan,
                                           lsrun_host_types_error_t *reason,
                                           lsrun_host_types_error_t *error) {
  (void)error;
  lsrun_string_t source;
  lsrun_host_types_method_restore_plan_source(lsrun_host_types_borrow_restore_plan(plan), &source);
  lsrun_log("warning", "nothing was restored from %.*s: %.*s", (int)source.len,
            (char *)source.ptr, (int)reason->message.len, (char *)reason->message.ptr);
  return true;
}
