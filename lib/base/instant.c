/* SPDX-License-Identifier: MIT */
#include "base/instant.h"

#include <string.h>

#include "base/plain.h"

#define US_PER_SECOND 1000000
#define SECONDS_PER_DAY 86400

/* Days since 1970-01-01 of a proleptic Gregorian date, and back.
 * Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static char *put_digits(char *p, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + width;
}

/* Four digits; of years that RFC 3339 cannot write a sign and six, as ISO 8601 expands them. */
static char *put_year(char *p, int64_t year)
{
    if (year >= 0 && year <= 9999)
        return put_digits(p, year, 4);
    *p++ = year < 0 ? '-' : '+';
    return put_digits(p, year < 0 ? -year : year, 6);
}

static char *format(int64_t instant_us, char text[INSTANT_TEXT_BYTES], int fraction_digits)
{
    int64_t seconds = instant_us / US_PER_SECOND, fraction = instant_us % US_PER_SECOND;
    if (fraction < 0) {
        fraction += US_PER_SECOND;
        seconds--;
    }
    int64_t days = seconds / SECONDS_PER_DAY, rest = seconds % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    int64_t year, month, day;
    date_from_days(days, &year, &month, &day);
    char *p = put_year(text, year);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    p = put_digits(p, day, 2);
    *p++ = 'T';
    p = put_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = put_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, rest % 60, 2);
    *p++ = '.';
    p = put_digits(p, fraction_digits == 3 ? fraction / 1000 : fraction, fraction_digits);
    *p++ = 'Z';
    *p = '\0';
    return text;
}

char *instant_format(int64_t instant_us, char text[INSTANT_TEXT_BYTES])
{
    return format(instant_us, text, 3);
}
char *instant_format_us(int64_t instant_us, char text[INSTANT_TEXT_BYTES])
{
    return format(instant_us, text, 6);
}

struct reader {
    const char *p, *end;
    bool failed;
};

static int64_t read_digits(struct reader *reader, int width)
{
    int64_t value = 0;
    for (int i = 0; i < width; i++) {
        if (reader->p >= reader->end || *reader->p < '0' || *reader->p > '9') {
            reader->failed = true;
            return 0;
        }
        value = value * 10 + (*reader->p++ - '0');
    }
    return value;
}

static bool accept(struct reader *reader, char c)
{
    if (reader->p < reader->end && *reader->p == c) {
        reader->p++;
        return true;
    }
    return false;
}

static void expect(struct reader *reader, char c)
{
    if (!accept(reader, c))
        reader->failed = true;
}

static int64_t read_fraction_us(struct reader *reader)
{
    int64_t fraction = 0, unit = US_PER_SECOND / 10;
    int digits = 0;
    if (!accept(reader, '.'))
        return 0;
    while (reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9') {
        fraction += (*reader->p++ - '0') * unit;
        unit /= 10;
        digits++;
    }
    if (digits == 0 || digits > 9)
        reader->failed = true;
    return fraction;
}

static int64_t read_offset_seconds(struct reader *reader)
{
    if (accept(reader, 'Z'))
        return 0;
    int64_t sign = accept(reader, '-') ? -1 : 1;
    if (sign == 1)
        expect(reader, '+');
    int64_t hours = read_digits(reader, 2);
    expect(reader, ':');
    int64_t minutes = read_digits(reader, 2);
    if (hours > 23 || minutes > 59)
        reader->failed = true;
    return sign * (hours * 3600 + minutes * 60);
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool instant_parse(const char *text, size_t bytes, int64_t *instant_us)
{
    struct reader reader = {text, text + bytes, false};
    int64_t year = read_digits(&reader, 4);
    expect(&reader, '-');
    int64_t month = read_digits(&reader, 2);
    expect(&reader, '-');
    int64_t day = read_digits(&reader, 2);
    expect(&reader, 'T');
    int64_t hour = read_digits(&reader, 2);
    expect(&reader, ':');
    int64_t minute = read_digits(&reader, 2);
    expect(&reader, ':');
    int64_t second = read_digits(&reader, 2);
    int64_t fraction = read_fraction_us(&reader);
    int64_t offset = read_offset_seconds(&reader);
    if (reader.failed || reader.p != reader.end)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
        minute > 59 || second > 60)
        return false;
    int64_t seconds = days_from_date(year, month, day) * SECONDS_PER_DAY + hour * 3600 +
                      minute * 60 + second - offset;
    int64_t us = seconds * US_PER_SECOND + fraction;
    if (us < INSTANT_FIRST_US || us > INSTANT_LAST_US) /* by its offset, or a leap second */
        return false;
    *instant_us = us;
    return true;
}

/* Seconds and their fraction behind the minute, when they are plain "SS.ffffffZ" with 0 to 9 digits. */
static bool parse_seconds(const char *text, size_t bytes, int64_t *us)
{
    unsigned tens = (unsigned)(unsigned char)text[0] - '0',
             ones = (unsigned)(unsigned char)text[1] - '0';
    if (tens > 5 || ones > 9 || text[bytes - 1] != 'Z')
        return false;
    int64_t sum = (int64_t)(tens * 10 + ones) * US_PER_SECOND, unit = US_PER_SECOND / 10;
    if (bytes == 3) {
        *us = sum;
        return true;
    }
    if (text[2] != '.' || bytes < 5 || bytes > 13)
        return false;
    for (size_t i = 3; i < bytes - 1; i++, unit /= 10) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9)
            return false;
        sum += (int64_t)digit * unit;
    }
    *us = sum;
    return true;
}

bool instant_parse_near(struct instant_minute *last, const char *text, size_t bytes,
                        int64_t *instant_us)
{
    int64_t us;
    bool plain = bytes >= INSTANT_MINUTE_BYTES + 3 &&
                 parse_seconds(text + INSTANT_MINUTE_BYTES, bytes - INSTANT_MINUTE_BYTES, &us);
    if (plain && plain_same(text, last->text, INSTANT_MINUTE_BYTES)) {
        *instant_us = last->instant_us + us;
        return true;
    }
    if (!instant_parse(text, bytes, instant_us))
        return false;
    if (plain) {
        memcpy(last->text, text, INSTANT_MINUTE_BYTES);
        last->instant_us = *instant_us - us;
    }
    return true;
}
