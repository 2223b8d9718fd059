/* SPDX-License-Identifier: MIT */
/* JSON items as lines of CSV: read back by RFC 4180 they say the same, and no field is a formula. */
#include "core/csv.h"
#include "fuzz.h"

/* The next field without its quotes; false at the end of a line, whose break is passed. */
static bool read_field(const char **at, const char *end, struct buffer *field, bool *quoted)
{
    buffer_clear(field);
    *quoted = *at < end && **at == '"';
    if (*quoted)
        ++*at;
    for (; *at < end; ++*at) {
        if (*quoted && **at == '"') {
            ++*at;
            if (*at == end || **at != '"')
                break;
        } else if (!*quoted && (**at == ',' || **at == '\r')) {
            break;
        }
        buffer_append_char(field, **at);
    }
    FUZZ_CHECK(*at < end && (**at == ',' || **at == '\r'));
    bool more = **at == ',';
    *at += more ? 1 : 2;
    FUZZ_CHECK(*at <= end && (more || (*at)[-1] == '\n'));
    return more;
}

static void same_value(const struct json *value, const struct buffer *field, bool quoted)
{
    struct buffer expected = {0};
    size_t bytes;
    const char *text = json_string_value(value, &bytes);
    const char *given = buffer_text(field);
    bool guarded = given[0] == '\'';
    enum json_type type = json_type_of(value);
    if (type == JSON_ABSENT || type == JSON_NULL) {
        FUZZ_CHECK(field->bytes == 0 && !quoted);
        return;
    }
    if (text)
        buffer_append(&expected, text, bytes);
    else
        json_write(value, &expected);
    FUZZ_CHECK(field->bytes == expected.bytes + guarded &&
               memcmp(given + guarded, buffer_text(&expected), expected.bytes) == 0);
    FUZZ_CHECK(field->bytes > 0 || quoted);
    if (type == JSON_STRING)
        FUZZ_CHECK(field->bytes == 0 ||
                   (!strchr("=+-@", given[0]) && (unsigned char)given[0] >= ' '));
    buffer_fini(&expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const names[] = {"a", "b", "a", "values"};
    struct json *items = json_parse((const char *)bytes, count, NULL, NULL);
    struct csv_columns columns = {0};
    struct buffer out = {0}, field = {0};
    bool quoted;
    csv_columns_add(&columns, "a", NULL, "a");
    csv_columns_add(&columns, "say \"b\"", NULL, "b");
    csv_columns_add_value(&columns, "a");
    csv_columns_add(&columns, "values", NULL, "values");
    csv_items(&out, columns.items, columns.count, items);
    const char *at = buffer_text(&out), *end = at + out.bytes;
    for (size_t i = 0; i < columns.count; i++) {
        FUZZ_CHECK(read_field(&at, end, &field, &quoted) == (i + 1 < columns.count));
        FUZZ_CHECK(strcmp(buffer_text(&field), columns.items[i].title) == 0);
    }
    for (size_t n = 0; json_type_of(items) == JSON_ARRAY && n < json_size(items); n++)
        for (size_t i = 0; i < columns.count; i++) {
            const struct json *item = json_at(items, n);
            const struct json *holder = columns.items[i].within ? json_get(item, "values") : item;
            FUZZ_CHECK(read_field(&at, end, &field, &quoted) == (i + 1 < columns.count));
            same_value(json_get(holder, names[i]), &field, quoted);
        }
    FUZZ_CHECK(at == end || json_type_of(items) != JSON_ARRAY);
    csv_columns_fini(&columns);
    buffer_fini(&out);
    buffer_fini(&field);
    json_release(items);
    return 0;
}
