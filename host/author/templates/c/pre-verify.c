/* @about@. Its settings in lsrun.yml, with what they are without any:
 *
 *   plugins: {settings: {@name@: {config: {paused: false}}}}
 */
#include "plugin.h"

bool exports_lsrun_plugin_pre_verify_run(lsrun_host_types_own_verify_plan_t plan,
                                         lsrun_host_types_error_t *error) {
  char paused[8];
  lsrun_setting("/paused", "false", paused, sizeof paused);
  if (strcmp(paused, "true") != 0) {
    return true;
  }
  lsrun_string_t command;
  lsrun_host_types_method_verify_plan_command(lsrun_host_types_borrow_verify_plan(plan), &command);
  return lsrun_error(error, "refused", "%.*s is paused in lsrun.yml", (int)command.len,
                     (char *)command.ptr);
}
