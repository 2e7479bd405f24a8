/* Helpers for plugins of lsrun in C, on top of lsrun.h: errors, settings, one value of a
 * query. What the host hands out is freed when the call is over, with the plugin. */
#ifndef LSRUN_PLUGIN_H
#define LSRUN_PLUGIN_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lsrun.h"

/* A string of the plugin's own, for the host to read. */
static inline lsrun_string_t lsrun_text(const char *text) {
  return (lsrun_string_t){(uint8_t *)text, strlen(text)};
}

/* A new string, in printf's formats. */
static inline char *lsrun_vformat(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = malloc((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  return text;
}

/* A new string: a name as SQL takes it, which cannot be a parameter. In double quotes
 * SQLite takes an unknown name for a string. */
static inline char *lsrun_quoted(const char *name) {
  char *text = malloc(2 * strlen(name) + 3), *end = text;
  *end++ = '`';
  for (; *name != 0; name++) {
    if (*name == '`') *end++ = '`';
    *end++ = *name;
  }
  strcpy(end, "`");
  return text;
}

/* Fills an error and gives false, so that `return lsrun_error(…)` ends an export. The
 * codes are in lsrun.h: `failed` for a check, `refused` for a hook, … */
static inline bool lsrun_error(lsrun_host_types_error_t *error, const char *code,
                               const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = lsrun_vformat(format, arguments);
  va_end(arguments);
  memset(error, 0, sizeof *error);
  lsrun_string_dup(&error->code, code);
  error->message = lsrun_text(message);
  return false;
}

/* A line for people: `debug` (with --verbose), `info`, `warning` or `error`. */
static inline void lsrun_log(const char *level, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = lsrun_vformat(format, arguments);
  va_end(arguments);
  lsrun_string_t level_text = lsrun_text(level), message_text = lsrun_text(message);
  lsrun_host_report_log(&level_text, &message_text);
  free(message);
}

/* A check of its own in the report, passed. */
static inline void lsrun_passed(const char *id, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = lsrun_vformat(format, arguments);
  va_end(arguments);
  lsrun_string_t id_text = lsrun_text(id), message_text = lsrun_text(message);
  lsrun_host_report_own_check_t check = lsrun_host_report_constructor_check(&id_text);
  lsrun_host_report_method_check_passed(lsrun_host_report_borrow_check(check), &message_text);
  lsrun_host_report_check_drop_own(check);
  free(message);
}

/* The setting at a JSON pointer such as `/table`, cut to `size`; `otherwise` without one. */
static inline void lsrun_setting(const char *pointer, const char *otherwise, char *text,
                                 size_t size) {
  lsrun_string_t where = lsrun_text(pointer), found;
  if (lsrun_host_settings_at(&where, &found)) {
    snprintf(text, size, "%.*s", (int)found.len, (char *)found.ptr);
    lsrun_string_free(&found);
  } else {
    snprintf(text, size, "%s", otherwise);
  }
}

/* The same as an integer. */
static inline int64_t lsrun_setting_integer(const char *pointer, int64_t otherwise) {
  char text[32];
  lsrun_setting(pointer, "", text, sizeof text);
  return text[0] == 0 ? otherwise : strtoll(text, NULL, 10);
}

/* Opens the restored copy for reading. */
static inline bool lsrun_open_copy(lsrun_host_types_own_restored_copy_t copy,
                                   lsrun_host_sqlite_own_connection_t *connection,
                                   lsrun_host_types_error_t *error) {
  return lsrun_host_sqlite_open_copy(lsrun_host_types_borrow_restored_copy(copy), connection,
                                     error);
}

/* The integer in the first column of the first row of a query. */
static inline bool lsrun_integer(lsrun_host_sqlite_own_connection_t connection,
                                 lsrun_host_types_error_t *error, int64_t *integer,
                                 const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *sql = lsrun_vformat(format, arguments);
  va_end(arguments);
  lsrun_string_t text = lsrun_text(sql);
  lsrun_host_sqlite_list_value_t none = {0};
  lsrun_host_sqlite_own_rows_t rows;
  lsrun_host_sqlite_list_list_value_t found;
  if (!lsrun_host_sqlite_method_connection_query(lsrun_host_sqlite_borrow_connection(connection),
                                                 &text, &none, &rows, error)) {
    return false;
  }
  bool ok = lsrun_host_sqlite_method_rows_next(lsrun_host_sqlite_borrow_rows(rows), 1, &found, error);
  if (ok) {
    ok = found.len == 1 && found.ptr[0].len > 0 &&
         found.ptr[0].ptr[0].tag == LSRUN_HOST_SQLITE_VALUE_INTEGER;
    if (ok) {
      *integer = found.ptr[0].ptr[0].val.integer;
    } else {
      lsrun_error(error, "invalid", "%s gave no integer", sql);
    }
    lsrun_host_sqlite_list_list_value_free(&found);
  }
  /* The next query can begin only when this one is gone. */
  lsrun_host_sqlite_rows_drop_own(rows);
  free(sql);
  return ok;
}

#endif
