/* SPDX-License-Identifier: MIT */
#include "reducer/core/page_cursor.h"

#include <string.h>

#include "base/instant.h"
#include "core/route.h"

#define NUMBER_DIGITS_MAX 18 /* all such numbers fit int64_t */

void page_cursor_write(const struct page_cursor *cursor, struct buffer *out)
{
    buffer_append_format(out, "%c.%lld.%lld.%d.", cursor->oldest_first ? 'a' : 'd',
                         (long long)cursor->start_us, (long long)cursor->window_ms,
                         (int)cursor->definition);
    for (const char *p = cursor->group; *p; p++)
        buffer_append_format(out, "%02x", (unsigned)(unsigned char)*p);
}

/* A decimal number with `end` behind it; *at is then behind that. */
static bool read_number(const char **at, char end, int64_t *number)
{
    bool negative = **at == '-';
    const char *digits = *at + negative;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > NUMBER_DIGITS_MAX || digits[count] != end)
        return false;
    *number = 0;
    for (size_t i = 0; i < count; i++)
        *number = *number * 10 + (digits[i] - '0');
    *number = negative ? -*number : *number;
    *at = digits + count + (end != 0);
    return true;
}

static int hexadecimal(char digit)
{
    const char *digits = "0123456789abcdef", *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

static bool read_group(const char *text, char *group)
{
    size_t count = strlen(text) / 2;
    if (strlen(text) % 2 != 0 || count > AGGREGATION_GROUP_BYTES_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        int high = hexadecimal(text[2 * i]), low = hexadecimal(text[2 * i + 1]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        group[i] = (char)(high << 4 | low);
    }
    group[count] = 0;
    return utf8_is_valid(group, count);
}

/* A time that a window can start at: it may begin before the first time that an event can have. */
static bool is_start(int64_t instant_us)
{
    return instant_us >= INSTANT_FIRST_US - AGGREGATION_WINDOW_MS_MAX * 1000 &&
           instant_us <= INSTANT_LAST_US;
}

bool page_cursor_read(const char *text, struct page_cursor *cursor)
{
    int64_t definition;
    const char *at = text + 2;
    if ((text[0] != 'a' && text[0] != 'd') || text[1] != '.' ||
        !read_number(&at, '.', &cursor->start_us) || !is_start(cursor->start_us) ||
        !read_number(&at, '.', &cursor->window_ms) || !read_number(&at, '.', &definition) ||
        definition < 0 || definition > INT32_MAX || !read_group(at, cursor->group))
        return false;
    cursor->oldest_first = text[0] == 'a';
    cursor->definition = (int32_t)definition;
    return true;
}

bool after_token_read(char *text, struct after_token *token)
{
    size_t bytes;
    if (!percent_decode(text, strlen(text), false, &bytes))
        return false;
    char *seq = strchr(text, ':');
    char *workflow = seq ? strchr(seq + 1, ':') : NULL;
    const char *number = seq ? seq + 1 : NULL;
    if (!workflow || seq == text || !workflow[1] || *number == '-' ||
        !read_number(&number, ':', &token->seq))
        return false;
    *seq = *workflow = 0;
    token->lane = text;
    token->workflow = workflow + 1;
    return true;
}
