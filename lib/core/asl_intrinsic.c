/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"

struct asl_call {
    char *text;
};

struct asl_call *asl_call_compile(struct asl_compiler *compiler, const char *text, size_t bytes) {
    asl_report(compiler, FINDING_ERROR, "ASL_UNSUPPORTED_FUNCTION",
               "\"%.*s\" is neither a path (it does not begin with $) nor a supported intrinsic function", (int)bytes,
               text);
    return NULL;
}

void asl_call_free(struct asl_call *call) {
    free(call);
}

struct json *asl_call_run(const struct asl_call *call, const struct asl_view *view, struct asl_failure *failure) {
    (void)view;
    asl_failure_set(failure, ASL_ERROR_INTRINSIC, "The function %s is not supported.", call->text);
    return NULL;
}
