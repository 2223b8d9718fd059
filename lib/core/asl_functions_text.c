/* SPDX-License-Identifier: MIT */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "core/asl_functions.h"

#define PARSED_BYTES 16   /* of memory, at most about, for an octet of JSON: [1,1,1] */
#define PIECE_BYTES_MIN 4 /* of a text in an array of texts */

/* -- Format -- */

static bool append_value(struct buffer *out, const struct json *value)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    enum json_type type = json_type_of(value);
    if (type == JSON_ARRAY || type == JSON_OBJECT)
        return false;
    if (text)
        buffer_append(out, text, bytes);
    else
        json_write(value, out);
    return true;
}

/* Each {} of the pattern stands for the next argument; there are as many of the ones as of the
 * others. */
struct json *asl_function_format(const struct asl_values *values, struct asl_failure *failure)
{
    size_t bytes = values->pattern_bytes, used = 1;
    const char *pattern =
        values->pattern ? values->pattern : json_string_value(values->items[0], &bytes);
    if (!pattern)
        return asl_function_fail(values, failure, "the first argument must be a text");
    struct buffer out = {0};
    const char *wrong = NULL;
    size_t most = asl_function_bytes_max(values);
    for (size_t i = 0; i < bytes && !wrong && out.bytes <= most; i++) {
        if (pattern[i] == '\\' && i + 1 < bytes && strchr("'{}\\", pattern[i + 1])) {
            buffer_append_char(&out, pattern[++i]);
        } else if (pattern[i] == '{' && i + 1 < bytes && pattern[i + 1] == '}') {
            i++;
            if (used == values->count)
                wrong = "there are fewer arguments than {}";
            else if (!append_value(&out, values->items[used++]))
                wrong = "an argument for {} must be a text, number, true, false or null";
        } else {
            buffer_append_char(&out, pattern[i]);
        }
    }
    if (!wrong && used < values->count && out.bytes <= most)
        wrong = "there are more arguments than {}";
    struct json *result = wrong              ? asl_function_fail(values, failure, wrong)
                          : out.bytes > most ? asl_function_too_large(values, failure)
                                             : json_string(buffer_text(&out), out.bytes);
    buffer_fini(&out);
    return result;
}

/* -- JSON as text -- */

struct json *asl_function_string_to_json(const struct asl_values *values,
                                         struct asl_failure *failure)
{
    size_t bytes = 0;
    const char *text = json_string_value(values->items[0], &bytes);
    asl_meter_made(values->view->meter, bytes * PARSED_BYTES);
    struct json *value = text ? json_parse(text, bytes, NULL, NULL) : NULL;
    return value ? value
                 : asl_function_fail(values, failure, "the argument must be a text with JSON");
}

struct json *asl_function_json_to_string(const struct asl_values *values,
                                         struct asl_failure *failure)
{
    size_t depth, most = asl_function_bytes_max(values);
    if (json_text_bytes_within(values->items[0], most, &depth) > most)
        return asl_function_too_large(values, failure);
    struct buffer out = {0};
    json_write(values->items[0], &out);
    struct json *text = json_string(buffer_text(&out), out.bytes);
    buffer_fini(&out);
    return text;
}

/* -- Base64 -- */

static const char *limited_text(const struct asl_values *values, size_t *bytes)
{
    const char *text = json_string_value(values->items[0], bytes);
    return text && utf8_characters(text, *bytes) <= ASL_FUNCTION_TEXT_CHARACTERS_MAX ? text : NULL;
}

struct json *asl_function_base64_encode(const struct asl_values *values,
                                        struct asl_failure *failure)
{
    size_t bytes = 0;
    const char *text = limited_text(values, &bytes);
    if (!text)
        return asl_function_fail(values, failure, "a text of at most 10000 characters is needed");
    unsigned char *encoded = must_alloc((bytes + 2) / 3 * 4 + 1);
    int encoded_bytes = EVP_EncodeBlock(encoded, (const unsigned char *)text, (int)bytes);
    struct json *value = json_string((const char *)encoded, (size_t)encoded_bytes);
    free(encoded);
    return value;
}

/* EVP_DecodeBlock skips white space and takes padding anywhere, so the form is checked first. */
static bool is_base64(const char *text, size_t bytes)
{
    if (bytes % 4 != 0)
        return false;
    while (bytes > 0 && text[bytes - 1] == '=' && bytes % 4 != 2)
        bytes--;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") >=
           bytes;
}

struct json *asl_function_base64_decode(const struct asl_values *values,
                                        struct asl_failure *failure)
{
    size_t bytes = 0;
    const char *text = limited_text(values, &bytes);
    if (!text || !is_base64(text, bytes))
        return asl_function_fail(values, failure,
                                 "a Base64 text of at most 10000 characters is needed");
    unsigned char *decoded = must_alloc(bytes / 4 * 3 + 1);
    int decoded_bytes = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)bytes);
    for (size_t i = bytes; decoded_bytes > 0 && i > 0 && text[i - 1] == '='; i--)
        decoded_bytes--;
    bool fine = decoded_bytes >= 0 && utf8_is_valid((char *)decoded, (size_t)decoded_bytes) &&
                !memchr(decoded, '\0', (size_t)decoded_bytes);
    struct json *value =
        fine ? json_string((char *)decoded, (size_t)decoded_bytes)
             : asl_function_fail(values, failure, "what is decoded is no UTF-8 text");
    free(decoded);
    return value;
}

/* -- Hash -- */

static const EVP_MD *algorithm(const char *name)
{
    static const struct {
        const char *name;
        const EVP_MD *(*make)(void);
    } algorithms[] = {{"MD5", EVP_md5},
                      {"SHA-1", EVP_sha1},
                      {"SHA-256", EVP_sha256},
                      {"SHA-384", EVP_sha384},
                      {"SHA-512", EVP_sha512}};
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        if (strcmp(name, algorithms[i].name) == 0)
            return algorithms[i].make();
    }
    return NULL;
}

static void append_hex(struct buffer *out, const unsigned char *octets, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        buffer_append_format(out, "%02x", octets[i]);
}

struct json *asl_function_hash(const struct asl_values *values, struct asl_failure *failure)
{
    const EVP_MD *kind = algorithm(json_string_or(values->items[1], ""));
    if (!kind)
        return asl_function_fail(values, failure,
                                 "the algorithm must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512");
    struct buffer data = {0}, hex = {0};
    size_t bytes = 0;
    const char *text = json_string_value(values->items[0], &bytes);
    if (text)
        buffer_append(&data, text, bytes);
    else
        json_write(values->items[0], &data);
    unsigned char octets[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    struct json *value = NULL;
    if (utf8_characters(buffer_text(&data), data.bytes) > ASL_FUNCTION_TEXT_CHARACTERS_MAX)
        asl_function_fail(values, failure, "the data have more than 10000 characters");
    else if (EVP_Digest(buffer_text(&data), data.bytes, octets, &count, kind, NULL) != 1)
        asl_function_fail(values, failure, "this machine does not allow the algorithm");
    if (count > 0) {
        append_hex(&hex, octets, count);
        value = json_string(buffer_text(&hex), hex.bytes);
    }
    buffer_fini(&data);
    buffer_fini(&hex);
    return value;
}

/* -- StringSplit: every character of the second text ends a piece; empty pieces are left out -- */

struct json *asl_function_string_split(const struct asl_values *values, struct asl_failure *failure)
{
    size_t bytes = 0, ends_bytes = 0;
    const char *text = json_string_value(values->items[0], &bytes);
    const char *ends = json_string_value(values->items[1], &ends_bytes);
    if (!text || !ends)
        return asl_function_fail(values, failure, "two texts are needed");
    if (ends_bytes > ASL_FUNCTION_SEPARATORS_BYTES_MAX)
        return asl_function_fail(values, failure, "the separators have more than 1024 octets");
    size_t pieces_max = asl_function_bytes_max(values) / PIECE_BYTES_MIN;
    struct json *pieces = json_array();
    size_t start = 0;
    for (size_t i = 0; i < bytes;) {
        size_t length = 1;
        while (i + length < bytes && ((unsigned char)text[i + length] & 0xC0) == 0x80)
            length++;
        bool ends_piece = memmem(ends, ends_bytes, text + i, length) != NULL;
        if (ends_piece) {
            if (i > start)
                json_array_append(pieces, json_string(text + start, i - start));
            start = i + length;
            if (json_size(pieces) > pieces_max) {
                json_release(pieces);
                return asl_function_too_large(values, failure);
            }
        }
        i += length;
    }
    if (start < bytes)
        json_array_append(pieces, json_string(text + start, bytes - start));
    return pieces;
}

/* -- UUID: version 4 in form, drawn from the execution's id and a counter -- */

struct json *asl_function_uuid(const struct asl_values *values, struct asl_failure *failure)
{
    const struct asl_view *view = values->view;
    if (!view->seed || !view->draws)
        return asl_function_fail(values, failure, "there is no execution to draw from");
    struct buffer name = {0};
    buffer_append_format(&name, "%s/uuid/%llu", view->seed, (unsigned long long)(*view->draws)++);
    unsigned char octets[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    BUG_IF(EVP_Digest(buffer_text(&name), name.bytes, octets, &count, EVP_sha256(), NULL) != 1);
    buffer_fini(&name);
    struct uuid uuid;
    memcpy(uuid.octets, octets, sizeof uuid.octets);
    uuid.octets[6] = (uint8_t)((uuid.octets[6] & 0x0F) | 0x40);
    uuid.octets[8] = (uint8_t)((uuid.octets[8] & 0x3F) | 0x80);
    char text[UUID_TEXT_BYTES];
    return json_text(uuid_format(&uuid, text));
}
