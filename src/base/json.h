/* Writes JSON into a buffer: commas, escapes, finite numbers (NaN and infinities become null). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

struct json {
    struct buffer *out;
    unsigned depth;
    bool comma[128]; /* by depth; deeper is a wrong program */
};
void json_init(struct json *json, struct buffer *out);
void json_object_begin(struct json *json);
void json_object_end(struct json *json);
void json_array_begin(struct json *json);
void json_array_end(struct json *json);
void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *text);                  /* NULL: null */
void json_string_n(struct json *json, const char *text, size_t length); /* invalid UTF-8 becomes U+FFFD */
void json_int(struct json *json, int64_t value);
void json_real(struct json *json, double value); /* shortest form that reads back the same */
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_raw(struct json *json, const char *text, size_t length); /* already JSON */
/* key + value in one line */
void json_field_string(struct json *json, const char *key, const char *text);
void json_field_int(struct json *json, const char *key, int64_t value);
void json_field_real(struct json *json, const char *key, double value);
void json_field_bool(struct json *json, const char *key, bool value);
void json_field_raw(struct json *json, const char *key, const char *text, size_t length);

#endif
