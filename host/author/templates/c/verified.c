/* @about@. Its settings in lsrun.yml, and what it needs:
 *
 *   plugins:
 *     settings:
 *       @name@:
 *         config: {url: "${WEBHOOK_URL}"}
 *         grant: [http=hooks.example.com]
 */
#include "plugin.h"

bool exports_lsrun_plugin_verified_run(lsrun_host_types_own_verification_t verification,
                                       lsrun_host_types_error_t *error) {
  lsrun_host_types_borrow_verification_t it = lsrun_host_types_borrow_verification(verification);
  lsrun_string_t outcome, body;
  lsrun_host_types_method_verification_outcome(it, &outcome);
  if (outcome.len == strlen("passed") && memcmp(outcome.ptr, "passed", outcome.len) == 0) {
    return true;
  }
  char url[1024];
  lsrun_setting("/url", "", url, sizeof url);
  lsrun_string_t method = lsrun_text("POST"), where = lsrun_text(url);
  lsrun_string_t name = lsrun_text("Content-Type"), type = lsrun_text("application/json");
  lsrun_host_http_borrow_request_t request =
      lsrun_host_http_borrow_request(lsrun_host_http_constructor_request(&method, &where));
  /* The whole result, as it is in lsrun's report. */
  lsrun_host_types_method_verification_json(it, &body);
  lsrun_list_u8_t bytes = {body.ptr, body.len};
  lsrun_host_http_own_response_t response;
  if (!lsrun_host_http_method_request_set_header(request, &name, &type, error) ||
      !lsrun_host_http_method_request_set_body(request, &bytes, error) ||
      !lsrun_host_http_method_request_send(request, &response, error)) {
    return false;
  }
  int status =
      lsrun_host_http_method_response_status(lsrun_host_http_borrow_response(response));
  if (status < 200 || status > 299) {
    return lsrun_error(error, "unreachable", "the message was answered with %d", status);
  }
  return true;
}
