/* An example of a check in C: every blob of a column has to begin like a PNG, a JPEG or a
 * GIF. Its settings in lsrun.yml, with what they are without any:
 *
 *   plugins: {settings: {pictures: {config: {table: pictures, column: content}}}}
 */
#include "plugin.h"

#define BATCH 256

static bool begins(const lsrun_host_sqlite_value_t *value, const char *with, size_t length) {
  return value->val.blob.len >= length && memcmp(value->val.blob.ptr, with, length) == 0;
}

static bool is_picture(const lsrun_host_sqlite_value_t *value) {
  return value->tag == LSRUN_HOST_SQLITE_VALUE_BLOB &&
         (begins(value, "\x89PNG\r\n\x1a\n", 8) || begins(value, "\xff\xd8\xff", 3) ||
          begins(value, "GIF8", 4));
}

bool exports_lsrun_plugin_check_run(lsrun_host_types_own_database_t *database,
                                    lsrun_host_types_own_restored_copy_t copy,
                                    lsrun_host_types_error_t *error) {
  (void)database;
  char table[128], column[128], sql[640];
  lsrun_setting("/table", "pictures", table, sizeof table);
  lsrun_setting("/column", "content", column, sizeof column);
  snprintf(sql, sizeof sql, "SELECT substr(%s, 1, 8), rowid FROM %s", lsrun_quoted(column),
           lsrun_quoted(table));

  lsrun_host_sqlite_own_connection_t connection;
  lsrun_host_sqlite_own_rows_t rows;
  lsrun_string_t text = lsrun_text(sql);
  lsrun_host_sqlite_list_value_t none = {0};
  if (!lsrun_open_copy(copy, &connection, error) ||
      !lsrun_host_sqlite_method_connection_query(lsrun_host_sqlite_borrow_connection(connection),
                                                 &text, &none, &rows, error)) {
    return false;
  }
  for (;;) {
    lsrun_host_sqlite_list_list_value_t batch;
    if (!lsrun_host_sqlite_method_rows_next(lsrun_host_sqlite_borrow_rows(rows), BATCH, &batch,
                                            error)) {
      return false;
    }
    if (batch.len == 0) return true;
    for (size_t i = 0; i < batch.len; i++) {
      if (!is_picture(&batch.ptr[i].ptr[0])) {
        return lsrun_error(error, "failed", "%s: row %lld is not a picture", table,
                           (long long)batch.ptr[i].ptr[1].val.integer);
      }
    }
    lsrun_host_sqlite_list_list_value_free(&batch);
  }
}
