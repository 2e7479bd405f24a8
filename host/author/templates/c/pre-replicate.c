/* @about@. Its settings in lsrun.yml, with what they are without any:
 *
 *   plugins: {settings: {@name@: {config: {standby: false}}}}
 */
#include "plugin.h"

bool exports_lsrun_plugin_pre_replicate_run(lsrun_host_types_own_replicate_plan_t plan,
                                            lsrun_host_types_error_t *error) {
  (void)plan;
  char standby[8];
  lsrun_setting("/standby", "false", standby, sizeof standby);
  if (strcmp(standby, "true") == 0) {
    return lsrun_error(error, "refused", "this host is a standby");
  }
  return true;
}
