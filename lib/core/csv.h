/* SPDX-License-Identifier: MIT */
/* csv.h - JSON items as lines of comma-separated values. Pure.
 *
 * A field stands in double quotes when it holds a comma, a quote, a line end, or is the empty text; null and
 * absent members are nothing between the commas. Lines end with CR LF.
 *
 * Spreadsheets run a text that begins with = + - @ or a control character as a formula, and what is counted
 * comes from outside: such texts get a ' before them. So do texts that begin with ', so that taking away one leading '
 * always gives back the text. Numbers, true and false stand as they are.
 *
 * Source    RFC 4180; owasp.org "CSV Injection".
 */
#ifndef CORE_CSV_H
#define CORE_CSV_H

#include <stddef.h>

#include "base/buffer.h"
#include "core/json.h"

struct csv_column {
    const char *title;
    const char *within; /* the member of an item that holds it; NULL: the item itself */
    const char *member;
};

/* Columns that grow; the titles are its own copies, within and member must outlive it. */
struct csv_columns {
    struct csv_column *items;
    size_t count, capacity;
};
void csv_columns_add(struct csv_columns *columns, const char *title, const char *within,
                     const char *member);
/* A column for a member of "values", once for each name; one that is called like a column before says where it
 * is from. */
void csv_columns_add_value(struct csv_columns *columns, const char *name);
void csv_columns_fini(struct csv_columns *columns);

/* The head, then a line for each item. */
void csv_items(struct buffer *out, const struct csv_column *columns, size_t count,
               const struct json *items);
void csv_head(struct buffer *out, const struct csv_column *columns, size_t count);
void csv_item(struct buffer *out, const struct csv_column *columns, size_t count,
              const struct json *item);

#endif
