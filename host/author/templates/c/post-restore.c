/* @about@. Its settings in lsrun.yml, with what they are without any:
 *
 *   plugins: {settings: {@name@: {config: {table: users, min: 1}}}}
 */
#include "plugin.h"

bool exports_lsrun_plugin_post_restore_run(lsrun_host_types_own_restore_plan_t plan,
                                           lsrun_host_types_own_restored_copy_t copy,
                                           lsrun_host_types_error_t *error) {
  (void)plan;
  char table[128];
  lsrun_setting("/table", "users", table, sizeof table);
  int64_t least = lsrun_setting_integer("/min", 1);

  lsrun_host_sqlite_own_connection_t connection;
  int64_t count;
  if (!lsrun_open_copy(copy, &connection, error) ||
      !lsrun_integer(connection, error, &count, "SELECT count(*) FROM %s", lsrun_quoted(table))) {
    return false;
  }
  if (count < least) {
    return lsrun_error(error, "refused", "%s has %lld rows, expected at least %lld", table,
                       (long long)count, (long long)least);
  }
  return true;
}
