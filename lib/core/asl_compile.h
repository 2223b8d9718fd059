/* SPDX-License-Identifier: MIT */
/* asl_compile.h - what the files that compile a state machine share: readers of single fields, scopes
 * and states. For asl_*.c only.
 *
 * Errors    Every function goes on after a fault, which it reports; what it gives back can be used.
 */
#ifndef CORE_ASL_COMPILE_H
#define CORE_ASL_COMPILE_H

#include "core/asl_internal.h"

/* NULL when the field is absent or faulty. With is_null, null is fine, and told. */
struct jsonpath *asl_path_field(struct asl_compiler *compiler, const struct json *document,
                                const char *name, unsigned rules, bool *is_null);
const char *asl_text_field(struct asl_compiler *compiler, const struct json *document,
                           const char *name); /* lent by the document */
int64_t asl_seconds_field(struct asl_compiler *compiler, const struct json *document,
                          const char *name, int64_t min, int64_t fallback);
struct asl_template *asl_template_field(struct asl_compiler *compiler, const struct json *document,
                                        const char *name);
/* Length of a template's field name without its ".$". */
size_t asl_plain_name_bytes(const char *name, size_t bytes);

enum asl_scope_kind { ASL_SCOPE_MACHINE, ASL_SCOPE_BRANCH, ASL_SCOPE_PROCESSOR };
/* asl_compile.c: a list of states; `path` begins the paths of its states. */
void asl_scope_compile(struct asl_compiler *compiler, struct asl_scope *scope,
                       const struct json *document, enum asl_scope_kind kind, const char *path);
/* asl_state.c: one state. */
void asl_state_compile(struct asl_compiler *compiler, struct asl_state *state,
                       const struct json *document);

#endif
