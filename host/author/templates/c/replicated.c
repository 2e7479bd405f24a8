/* @about@. */
#include "plugin.h"

bool exports_lsrun_plugin_replicated_run(lsrun_host_types_own_replication_t replication,
                                         lsrun_host_types_error_t *error) {
  (void)error;
  lsrun_host_types_borrow_replication_t it = lsrun_host_types_borrow_replication(replication);
  lsrun_string_t reason;
  lsrun_host_types_method_replication_reason(it, &reason);
  lsrun_log("info", "the replication is over: %.*s (code %d)", (int)reason.len,
            (char *)reason.ptr, lsrun_host_types_method_replication_exit_code(it));
  return true;
}
