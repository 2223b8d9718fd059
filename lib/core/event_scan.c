/* SPDX-License-Identifier: MIT */
/* event_scan.c - a strict JSON walker that remembers wanted members and skips the rest. */
#include "core/event_scan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/plain.h"
#include "base/text_hash.h"

#define NUMBER_BYTES_MAX 64   /* longer numbers are copied to the heap before strtod */
#define DECIMAL_BYTES_MAX 16  /* so many octets with a dot have at most 15 digits */
#define FINITE_DIGITS_MAX 300 /* a number with fewer digits and no exponent is finite */
#define HEADS 64              /* chains of an object's wanted members */
#define HINT_PLACES 4         /* where the hint of a member may stand */
#define NOWHERE (-1)          /* an object that holds nothing wanted */
#define TOP 0                 /* the envelope itself */

/* A wanted name in its object; its number is its slot. */
struct path_node {
    char *name;
    size_t name_bytes;
    char *path;
    int16_t next;         /* in its chain of heads */
    int16_t first, after; /* its first member, the member after it in its own object; 0: none */
    bool has_members;
    int16_t heads[HEADS]; /* 0: none */
};

struct event_paths {
    struct path_node nodes[EVENT_SLOTS_MAX];
    int count;
};

struct scan {
    const struct event_paths *paths;
    const char *end;
    const char *fault;
    struct event_value *values;
    struct event_hints *hints;
    uint16_t hint; /* of the member read last; 0 at the beginning */
};

/* -- paths -- */

struct event_paths *event_paths_new(void)
{
    struct event_paths *paths = must_calloc(1, sizeof(*paths));
    paths->nodes[TOP].path = must_strdup("");
    paths->nodes[TOP].has_members = true;
    paths->count = 1;
    return paths;
}

void event_paths_free(struct event_paths *paths)
{
    if (!paths)
        return;
    for (int i = 0; i < paths->count; i++) {
        free(paths->nodes[i].name);
        free(paths->nodes[i].path);
    }
    free(paths);
}

int event_paths_count(const struct event_paths *paths) { return paths->count; }
const char *event_paths_text(const struct event_paths *paths, int slot)
{
    return paths->nodes[slot].path;
}

static size_t head_of(const char *name, size_t bytes)
{
    return (bytes + (size_t)(unsigned char)name[0] * 7 +
            (size_t)(unsigned char)name[bytes - 1] * 13) %
           HEADS;
}

/* The wanted member of that name; 0: there is none. */
static inline int find_member(const struct event_paths *paths, int object, const char *name,
                              size_t bytes)
{
    int slot = bytes == 0 ? 0 : paths->nodes[object].heads[head_of(name, bytes)];
    while (slot && (paths->nodes[slot].name_bytes != bytes ||
                    !plain_same(paths->nodes[slot].name, name, bytes)))
        slot = paths->nodes[slot].next;
    return slot;
}

static int add_member(struct event_paths *paths, int object, const char *path, size_t from,
                      size_t to)
{
    if (paths->count == EVENT_SLOTS_MAX)
        return -1;
    int slot = paths->count++;
    struct path_node *parent = &paths->nodes[object], *node = &paths->nodes[slot];
    int16_t *head = &parent->heads[head_of(path + from, to - from)];
    node->name = must_strndup(path + from, to - from);
    node->name_bytes = to - from;
    node->path = must_strndup(path, to);
    node->next = *head;
    *head = (int16_t)slot;
    node->after = parent->first;
    parent->first = (int16_t)slot;
    parent->has_members = true;
    return slot;
}

int event_paths_add(struct event_paths *paths, const char *path, size_t bytes)
{
    int object = TOP, depth = 0;
    if (bytes > EVENT_PATH_BYTES_MAX)
        return -1;
    for (size_t from = 0; from <= bytes; depth++) {
        const char *dot = from < bytes ? memchr(path + from, '.', bytes - from) : NULL;
        size_t to = dot ? (size_t)(dot - path) : bytes;
        if (to == from || depth == EVENT_PATH_DEPTH_MAX)
            return -1;
        int slot = find_member(paths, object, path + from, to - from);
        object = slot ? slot : add_member(paths, object, path, from, to);
        if (object < 0)
            return -1;
        from = to + 1;
    }
    return object;
}

/* -- the walker: each step begins at p and gives where it ended, NULL when there is a fault -- */

static const char *fail(struct scan *scan, const char *fault)
{
    if (!scan->fault)
        scan->fault = fault;
    return NULL;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

/* At the next octet when it is this one; space before it is rare. NULL: it is another. */
static inline const char *find_next(const char *p, const char *end, char wanted)
{
    if (p < end && *p == wanted)
        return p;
    p = skip_space(p, end);
    return p < end && *p == wanted ? p : NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex_four(const char *p, const char *end)
{
    int32_t value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* An escape at p (its backslash); gives the code point and the octets it takes, 0 when it is none. */
static size_t read_escape(const char *p, const char *end, uint32_t *code_point)
{
    static const char plain[] = "\"\\/bfnrt";
    static const char meaning[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        const char *found = p[1] ? strchr(plain, p[1]) : NULL;
        if (!found)
            return 0;
        *code_point = (uint32_t)meaning[found - plain];
        return 2;
    }
    int32_t unit = hex_four(p + 2, end);
    if (unit <= 0 ||
        (unit >= 0xdc00 && unit <= 0xdfff)) /* \u0000 cannot be stored by the database */
        return 0;
    *code_point = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdbff)
        return 6;
    if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t low = hex_four(p + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *code_point = 0x10000u + (((uint32_t)unit - 0xd800u) << 10) + ((uint32_t)low - 0xdc00u);
    return 12;
}

/* Octets of the multi-octet UTF-8 character at p, 0 when it is none. */
static size_t utf8_character(const char *text, const char *end)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t left = (size_t)(end - text);
    size_t bytes = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < bytes)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return bytes;
}

/* The rest of a string from its first octet that is not plain; gives its closing quote. */
static const char *scan_marked(struct scan *scan, const char *p, bool *escaped)
{
    uint32_t ignored;
    for (;;) {
        p += plain_run(p, (size_t)(scan->end - p));
        if (p >= scan->end)
            return fail(scan, "a string has no end");
        unsigned char c = (unsigned char)*p;
        if (c == '"')
            return p;
        size_t step = 1;
        if (c == '\\') {
            *escaped = true;
            step = read_escape(p, scan->end, &ignored);
            if (!step)
                return fail(scan, "a string has an escape that JSON does not know");
        } else if (c < 0x20) {
            return fail(scan, "a string has a control character");
        } else if (c >= 0x80) {
            step = utf8_character(p, scan->end);
            if (!step)
                return fail(scan, "the text is not valid UTF-8");
        }
        p += step;
    }
}

/* p at the opening quote. */
static inline const char *scan_string(struct scan *scan, const char *p, struct event_value *value)
{
    const char *start = p + 1;
    value->escaped = false;
    p = start + plain_run(start, (size_t)(scan->end - start));
    if (p >= scan->end || *p != '"') {
        p = scan_marked(scan, p, &value->escaped);
        if (!p)
            return NULL;
    }
    value->type = JSON_STRING;
    value->data = start;
    value->bytes = (size_t)(p - start);
    return p + 1;
}

/* A short number without exponent is *whole / 10^*places. */
static bool read_decimal(const char *data, size_t bytes, int64_t *digits, size_t *fraction)
{
    const char *p = data, *end = data + bytes;
    bool negative = *p == '-';
    int64_t whole = 0;
    size_t places = 0;
    if (bytes > DECIMAL_BYTES_MAX)
        return false;
    for (p += negative; p < end && *p >= '0' && *p <= '9'; p++)
        whole = whole * 10 + (*p - '0');
    if (p < end && *p == '.') {
        for (p++; p < end && *p >= '0' && *p <= '9'; p++, places++)
            whole = whole * 10 + (*p - '0');
    }
    if (p != end)
        return false;
    *digits = negative ? -whole : whole;
    *fraction = places;
    return true;
}

/* Of at most 15 digits both are exact, so the quotient is the nearest double. */
static double divide_decimal(int64_t digits, size_t fraction)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    return (double)digits / powers[fraction];
}

static double to_double(const char *data, size_t bytes)
{
    int64_t digits;
    size_t fraction;
    if (read_decimal(data, bytes, &digits, &fraction) && (digits != 0 || *data != '-'))
        return divide_decimal(digits, fraction);
    char small[NUMBER_BYTES_MAX + 1];
    char *text = bytes <= NUMBER_BYTES_MAX ? small : must_alloc(bytes + 1);
    memcpy(text, data, bytes);
    text[bytes] = 0;
    double number = strtod(text, NULL);
    if (text != small)
        free(text);
    return number;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const char *scan_number(struct scan *scan, const char *p, struct event_value *value)
{
    const char *end = scan->end;
    const char *start = p;
    bool exponent = false;
    if (*p == '-')
        p++;
    const char *digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return fail(scan, "a number is malformed");
    if (p < end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, end);
        if (p == digits)
            return fail(scan, "a number is malformed");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        exponent = true;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits)
            return fail(scan, "a number is malformed");
    }
    *value = (struct event_value){.type = JSON_NUMBER, .data = start, .bytes = (size_t)(p - start)};
    if ((exponent || value->bytes > FINITE_DIGITS_MAX) &&
        !isfinite(to_double(value->data, value->bytes)))
        return fail(scan, "a number is too large");
    return p;
}

static const char *scan_word(struct scan *scan, const char *p, enum json_type type,
                             const char *word, size_t bytes, struct event_value *value)
{
    if ((size_t)(scan->end - p) < bytes || memcmp(p, word, bytes) != 0)
        return fail(scan, "a value is no JSON");
    *value = (struct event_value){.type = type, .data = p, .bytes = bytes};
    return p + bytes;
}

/* The slot of an object's member, 0 when it is not wanted. */
static inline int slot_of(const struct event_paths *paths, int object,
                          const struct event_value *name)
{
    if (object == NOWHERE)
        return 0;
    if (!name->escaped)
        return find_member(paths, object, name->data, name->bytes);
    struct buffer scratch = {0};
    size_t bytes;
    const char *text = event_value_text(name, &scratch, &bytes);
    int slot = find_member(paths, object, text, bytes);
    buffer_fini(&scratch);
    return slot;
}

/* An object that comes a second time replaces what the first one said. */
static void forget(struct scan *scan, int object)
{
    for (int slot = scan->paths->nodes[object].first; slot; slot = scan->paths->nodes[slot].after) {
        scan->values[slot] = (struct event_value){.type = JSON_ABSENT};
        forget(scan, slot);
    }
}

static const char *scan_other(struct scan *scan, const char *p, int inside, int depth,
                              struct event_value *value);

/* Any value. Depth is that of the container around it. */
static inline const char *scan_value(struct scan *scan, const char *p, int inside, int depth,
                                     struct event_value *value)
{
    return p < scan->end && *p == '"' ? scan_string(scan, p, value)
                                      : scan_other(scan, p, inside, depth, value);
}

static inline bool hint_fits(const struct event_hint *hint, const char *p, const char *end)
{
#if defined(__SSE2__)
    if (end - p < EVENT_HINT_BYTES_MAX)
        return false;
    const __m128i *known = (const __m128i *)(const void *)hint->text;
    const __m128i *found = (const __m128i *)(const void *)p;
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128(known), _mm_loadu_si128(found));
    __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128(known + 1), _mm_loadu_si128(found + 1));
    uint32_t same = (uint32_t)_mm_movemask_epi8(low) | (uint32_t)_mm_movemask_epi8(high) << 16;
    return (same & hint->mask) == hint->mask;
#else
    return end - p >= hint->bytes && plain_same(hint->text, p, hint->bytes);
#endif
}

/* The place of a hint: where it is, else a free one near, else the first of them. */
static uint16_t hint_place(const struct event_hints *hints, const char *text, size_t bytes,
                           int object)
{
    size_t first = (size_t)(text_hash(text, bytes) + (uint64_t)object * 31);
    for (size_t i = first; i < first + HINT_PLACES; i++) {
        const struct event_hint *hint = &hints->items[i % EVENT_HINTS];
        if (hint->bytes == 0 ||
            (hint->bytes == bytes && hint->object == object && plain_same(hint->text, text, bytes)))
            return (uint16_t)(i % EVENT_HINTS);
    }
    return (uint16_t)(first % EVENT_HINTS);
}

/* Notes the octets from a name's quote to its colon as what comes after the member before. */
static void learn(struct scan *scan, const char *text, size_t bytes, int object, int slot)
{
    if (bytes > EVENT_HINT_BYTES_MAX)
        return;
    uint16_t place = hint_place(scan->hints, text, bytes, object);
    struct event_hint *hint = &scan->hints->items[place];
    memcpy(hint->text, text, bytes);
    hint->mask = UINT32_MAX >> (EVENT_HINT_BYTES_MAX - bytes);
    hint->bytes = (uint8_t)bytes;
    hint->object = (int16_t)object;
    hint->slot = (int16_t)slot;
    scan->hints->items[scan->hint].next = place;
    scan->hint = place;
}

static const char *find_name(struct scan *scan, const char *p, int object, int *slot)
{
    struct event_value name;
    p = find_next(p, scan->end, '"');
    if (!p)
        return fail(scan, "an object's member has no name");
    const char *start = p;
    p = scan_string(scan, p, &name);
    if (!p)
        return NULL;
    p = find_next(p, scan->end, ':');
    if (!p)
        return fail(scan, "a member's name is not followed by a colon");
    *slot = slot_of(scan->paths, object, &name);
    learn(scan, start, (size_t)(p + 1 - start), object, *slot);
    return p + 1;
}

/* A member's name and its colon. */
static inline const char *scan_name(struct scan *scan, const char *p, int object, int *slot)
{
    uint16_t number = scan->hints->items[scan->hint].next;
    const struct event_hint *hint = &scan->hints->items[number];
    if (hint->bytes == 0 || hint->object != object || !hint_fits(hint, p, scan->end))
        return find_name(scan, p, object, slot);
    scan->hint = number;
    *slot = hint->slot;
    return p + hint->bytes;
}

static inline const char *scan_member(struct scan *scan, const char *p, int object, int depth)
{
    struct event_value ignored;
    int slot;
    p = scan_name(scan, p, object, &slot);
    if (!p)
        return NULL;
    if (!slot)
        return scan_value(scan, p, NOWHERE, depth, &ignored);
    struct event_value *value = &scan->values[slot];
    int inside = scan->paths->nodes[slot].has_members ? slot : NOWHERE;
    if (inside != NOWHERE && value->type != JSON_ABSENT)
        forget(scan, inside);
    return scan_value(scan, p, inside, depth, value);
}

/* p at the opening brace, as in scan_array at the bracket. */
static const char *scan_object(struct scan *scan, const char *p, int object, int depth)
{
    const char *end = find_next(p + 1, scan->end, '}');
    if (end)
        return end + 1;
    for (;;) {
        p = scan_member(scan, p + 1, object, depth);
        if (!p)
            return NULL;
        if (p < scan->end && *p == ',')
            continue;
        p = skip_space(p, scan->end);
        if (p < scan->end && *p == '}')
            return p + 1;
        if (p >= scan->end || *p != ',')
            return fail(scan, "an object has no end");
    }
}

static const char *scan_array(struct scan *scan, const char *p, int depth)
{
    struct event_value value;
    const char *end = find_next(p + 1, scan->end, ']');
    if (end)
        return end + 1;
    for (;;) {
        p = scan_value(scan, p + 1, NOWHERE, depth, &value);
        if (!p)
            return NULL;
        p = skip_space(p, scan->end);
        if (p < scan->end && *p == ']')
            return p + 1;
        if (p >= scan->end || *p != ',')
            return fail(scan, "an array has no end");
    }
}

/* A value that is no string, or has space before it. */
static const char *scan_other(struct scan *scan, const char *p, int inside, int depth,
                              struct event_value *value)
{
    p = skip_space(p, scan->end);
    if (p >= scan->end)
        return fail(scan, "the text ends too early");
    const char *start = p;
    char c = *p;
    if (c == '"')
        return scan_string(scan, p, value);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(scan, p, value);
    if (c == '{' || c == '[') {
        if (depth >= JSON_DEPTH_MAX)
            return fail(scan, "the nesting is too deep");
        p = c == '{' ? scan_object(scan, p, inside, depth + 1) : scan_array(scan, p, depth + 1);
        *value = (struct event_value){.type = c == '{' ? JSON_OBJECT : JSON_ARRAY,
                                      .data = start,
                                      .bytes = p ? (size_t)(p - start) : 0};
        return p;
    }
    if (c == 't')
        return scan_word(scan, p, JSON_TRUE, "true", 4, value);
    if (c == 'f')
        return scan_word(scan, p, JSON_FALSE, "false", 5, value);
    return scan_word(scan, p, JSON_NULL, "null", 4, value);
}

const char *event_scan(const struct event_paths *paths, struct event_hints *hints, const char *text,
                       size_t bytes, struct event_value *values)
{
    struct scan scan = {.paths = paths, .end = text + bytes, .values = values, .hints = hints};
    struct event_value whole = {0};
    memset(values, 0, (size_t)paths->count * sizeof(*values));
    _Static_assert(JSON_ABSENT == 0, "zeroed values are absent");
    const char *p = skip_space(text, scan.end);
    if (p >= scan.end)
        return "the record is empty";
    p = scan_value(&scan, p, TOP, 0, &whole);
    if (!p)
        return scan.fault;
    if (skip_space(p, scan.end) != scan.end)
        return "something follows the JSON value";
    if (whole.type != JSON_OBJECT)
        return "the record is not a JSON object";
    return NULL;
}

static void append_utf8(struct buffer *out, uint32_t c)
{
    if (c < 0x80) {
        buffer_append_char(out, (char)c);
    } else if (c < 0x800) {
        buffer_append_char(out, (char)(0xc0 | c >> 6));
        buffer_append_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        if (c < 0x10000) {
            buffer_append_char(out, (char)(0xe0 | c >> 12));
        } else {
            buffer_append_char(out, (char)(0xf0 | c >> 18));
            buffer_append_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        buffer_append_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buffer_append_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

const char *event_value_text(const struct event_value *value, struct buffer *scratch, size_t *bytes)
{
    if (value->type != JSON_STRING)
        return NULL;
    if (!value->escaped) {
        *bytes = value->bytes;
        return value->data;
    }
    const char *p = value->data;
    const char *end = p + value->bytes;
    buffer_clear(scratch);
    while (p < end) {
        if (*p != '\\') {
            buffer_append_char(scratch, *p++);
            continue;
        }
        uint32_t c = 0;
        p += read_escape(p, end, &c);
        append_utf8(scratch, c);
    }
    *bytes = scratch->bytes;
    return buffer_text(scratch);
}

bool event_value_double(const struct event_value *value, double *number)
{
    if (value->type != JSON_NUMBER)
        return false;
    *number = to_double(value->data, value->bytes);
    return true;
}

bool event_value_int(const struct event_value *value, int64_t *number)
{
    const int64_t limit = INT64_MAX / 10 - 1;
    if (value->type != JSON_NUMBER)
        return false;
    const char *p = value->data;
    const char *end = p + value->bytes;
    bool negative = *p == '-';
    int64_t sum = 0;
    for (p += negative; p < end && *p >= '0' && *p <= '9'; p++) {
        if (sum > limit)
            return false;
        sum = sum * 10 + (*p - '0');
    }
    if (p != end) { /* a fraction or an exponent: fine when the value is whole all the same */
        double whole = to_double(value->data, value->bytes);
        if (whole != floor(whole) || fabs(whole) > 9007199254740992.0)
            return false;
        *number = (int64_t)whole;
        return true;
    }
    *number = negative ? -sum : sum;
    return true;
}

bool event_value_number(const struct event_value *value, double *number, int64_t *whole,
                        bool *is_whole)
{
    int64_t digits;
    size_t fraction;
    if (value->type != JSON_NUMBER)
        return false;
    if (!read_decimal(value->data, value->bytes, &digits, &fraction)) {
        *is_whole = event_value_int(value, whole);
        *number = *is_whole ? (double)*whole : to_double(value->data, value->bytes);
        return true;
    }
    *number = divide_decimal(digits, fraction);
    *whole = fraction == 0 ? digits : (int64_t)*number;
    *is_whole = fraction == 0 || *number == (double)*whole;
    return true;
}
