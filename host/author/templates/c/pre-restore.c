/* @about@. Its settings in lsrun.yml, with what they are without any:
 *
 *   plugins: {settings: {@name@: {config: {most_ahead: 0}}}}
 */
#include "plugin.h"

bool exports_lsrun_plugin_pre_restore_run(lsrun_host_types_own_restore_plan_t plan,
                                          lsrun_host_types_error_t *error) {
  lsrun_host_types_own_present_database_t present;
  uint64_t ahead;
  if (!lsrun_host_types_method_restore_plan_present(lsrun_host_types_borrow_restore_plan(plan),
                                                    &present)) {
    return true;
  }
  if (lsrun_host_types_method_present_database_ahead(
          lsrun_host_types_borrow_present_database(present), &ahead) &&
      ahead > (uint64_t)lsrun_setting_integer("/most_ahead", 0)) {
    return lsrun_error(error, "refused", "the current database has %llu transactions more",
                       (unsigned long long)ahead);
  }
  return true;
}
