/* SPDX-License-Identifier: MIT */
#include "core/asl_lint.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/asl_lint_internal.h"

void asl_lint_report(struct asl_lint *lint, const char *pointer, const char *member,
                     const char *code, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    error_trim(text, sizeof text);
    struct buffer place = {0};
    buffer_append_format(&place, "%s%s", pointer, member);
    finding_add(lint->findings, FINDING_WARNING, lint->source, buffer_text(&place), code, "%s",
                text);
    buffer_fini(&place);
}

static void scope_lint(const struct outline_scope *scope, void *context)
{
    struct asl_lint *lint = context;
    asl_lint_loops(lint, scope);
    for (size_t i = 0; i < scope->count; i++) {
        asl_lint_time(lint, &scope->states[i]);
        asl_lint_errors(lint, &scope->states[i]);
    }
}

void asl_lint(const struct asl_outline *outline, const struct source_map *source,
              struct findings *findings)
{
    struct asl_lint lint = {outline, source, findings,
                            json_int_value(json_get(outline->definition, "TimeoutSeconds"))};
    outline_scopes_visit(&outline->scope, scope_lint, &lint);
    asl_lint_waits(&lint);
}
