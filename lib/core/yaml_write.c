/* SPDX-License-Identifier: MIT */
/* JSON as YAML in block style, for people to read and for yaml_parse to read again. */
#include <ctype.h>
#include <string.h>

#include "core/contract.h"

#define INDENT_SPACES 2

/* A text that any reader of YAML, 1.1 too, takes for a text without quotes. */
static bool is_plain(const char *text, size_t bytes)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",
                                        "on",   "off",   "y",    "n",   NULL};
    if (bytes == 0 || !(isalpha((unsigned char)text[0]) || text[0] == '$' || text[0] == '/'))
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!isalnum((unsigned char)text[i]) && (text[i] == '\0' || !strchr("._-$/", text[i])))
            return false;
    for (int i = 0; words[i] != NULL; i++)
        if (strlen(words[i]) == bytes && strncasecmp(words[i], text, bytes) == 0)
            return false;
    return true;
}

/* The character at the text's begin, of valid UTF-8, if YAML must not have it as it is although JSON may: 0x7f to
 * 0x9f, the line ends of Unicode, the byte order mark, and what is no character. 0 for others. */
static unsigned character_to_escape(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] == 0x7f)
        return c[0];
    if (c[0] == 0xc2)
        return c[1] < 0xa0 ? c[1] : 0;
    if ((c[0] & 0xf0) != 0xe0)
        return 0;
    unsigned code = (c[0] & 15u) << 12 | (c[1] & 63u) << 6 | (c[2] & 63u);
    bool escaped = code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe;
    return escaped ? code : 0;
}

/* A JSON string, which in YAML is one too once these characters are escaped. */
static void write_quoted(const char *text, size_t bytes, struct buffer *out)
{
    struct buffer quoted = {0};
    buffer_append_json_string(&quoted, text, bytes);
    for (size_t i = 0; i < quoted.bytes; i++) {
        unsigned code = character_to_escape(quoted.data + i);
        if (code)
            buffer_append_format(out, "\\u%04x", code);
        else
            buffer_append_char(out, quoted.data[i]);
        i += code < 0x80 ? 0 : code < 0x800 ? 1 : 2;
    }
    buffer_fini(&quoted);
}

static void write_text(const char *text, size_t bytes, struct buffer *out)
{
    if (is_plain(text, bytes))
        buffer_append(out, text, bytes);
    else
        write_quoted(text, bytes, out);
}

static void indent(struct buffer *out, int depth)
{
    for (int i = 0; i < depth * INDENT_SPACES; i++)
        buffer_append_char(out, ' ');
}

static bool is_block(const struct json *value)
{
    enum json_type type = json_type_of(value);
    return (type == JSON_ARRAY || type == JSON_OBJECT) && json_size(value) > 0;
}

static void write_block(const struct json *value, int depth, bool begun, struct buffer *out);

/* What follows "name:" or "-" on the same line. */
static void write_scalar(const struct json *value, struct buffer *out)
{
    size_t bytes;
    const char *text = json_string_value(value, &bytes);
    buffer_append_char(out, ' ');
    if (text != NULL)
        write_text(text, bytes, out);
    else
        json_write(value, out);
    buffer_append_char(out, '\n');
}

static void write_member(const struct json *object, size_t index, int depth, struct buffer *out)
{
    size_t bytes;
    const char *name = json_name_at(object, index, &bytes);
    const struct json *value = json_member_at(object, index);
    write_text(name, bytes, out);
    buffer_append_char(out, ':');
    if (!is_block(value)) {
        write_scalar(value, out);
        return;
    }
    buffer_append_char(out, '\n');
    write_block(value, depth + 1, false, out);
}

static void write_item(const struct json *value, int depth, struct buffer *out)
{
    buffer_append_char(out, '-');
    if (!is_block(value)) {
        write_scalar(value, out);
        return;
    }
    buffer_append_char(out, ' '); /* its first line stands beside the dash */
    write_block(value, depth + 1, true, out);
}

/* `begun`: the first line is indented already. */
static void write_block(const struct json *value, int depth, bool begun, struct buffer *out)
{
    bool is_object = json_type_of(value) == JSON_OBJECT;
    for (size_t i = 0; i < json_size(value); i++) {
        if (i > 0 || !begun)
            indent(out, depth);
        if (is_object)
            write_member(value, i, depth, out);
        else
            write_item(json_at(value, i), depth, out);
    }
}

void yaml_write(const struct json *value, struct buffer *out)
{
    if (is_block(value)) {
        write_block(value, 0, false, out);
        return;
    }
    size_t bytes;
    const char *text = json_string_value(value, &bytes);
    if (text != NULL)
        write_text(text, bytes, out);
    else
        json_write(value, out);
    buffer_append_char(out, '\n');
}
