/* @about@: `lsrun @name@` prints how many tables each database has. */
#include "plugin.h"

bool exports_lsrun_plugin_command_run(lsrun_host_types_own_invocation_t invocation,
                                      lsrun_host_types_error_t *error) {
  lsrun_host_types_list_own_database_t databases;
  lsrun_host_types_method_invocation_databases(lsrun_host_types_borrow_invocation(invocation),
                                               &databases);
  for (size_t i = 0; i < databases.len; i++) {
    lsrun_host_sqlite_own_connection_t connection;
    int64_t count;
    if (!lsrun_host_sqlite_open(lsrun_host_types_borrow_database(databases.ptr[i]), &connection,
                                error) ||
        !lsrun_integer(connection, error, &count,
                       "SELECT count(*) FROM sqlite_schema WHERE type = 'table'")) {
      return false;
    }
    lsrun_passed("count", "%lld tables", (long long)count);
  }
  return true;
}
