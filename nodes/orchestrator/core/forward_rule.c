/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/forward_rule.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "core/json.h"

enum refusal {
    NO_REFUSAL,
    NOT_TAKEN,     /* it says so itself */
    PERHAPS_TAKEN, /* it lost the database meanwhile */
    UNAVAILABLE,   /* not taken, and for another reason than its shards */
};

static enum refusal refusal_of(const struct forward_answer *answer)
{
    static const struct {
        enum error_code code;
        enum refusal refusal;
    } known[] = {{ERR_NOT_OWNER, NOT_TAKEN},
                 {ERR_STOPPING, NOT_TAKEN},
                 {ERR_FENCED, NOT_TAKEN},
                 {ERR_OUTCOME_UNKNOWN, PERHAPS_TAKEN}};
    enum refusal refusal = UNAVAILABLE;
    if (answer->status != 503)
        return NO_REFUSAL;
    struct json *body = json_parse(answer->body, answer->body_bytes, NULL, NULL);
    const char *code = json_string_or(json_get(body, "code"), "");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(code, error_code_name(known[i].code)) == 0)
            refusal = known[i].refusal;
    json_release(body);
    return refusal;
}

enum forward_next forward_judge(const struct forward_answer *answer, const struct forward_case *of)
{
    if (!answer->came) {
        if (!answer->reached)
            return FORWARD_AGAIN;
        return of->repeats ? FORWARD_REPEAT : FORWARD_UNKNOWN;
    }
    if (answer->status == 202 && of->early && of->repeats)
        return FORWARD_REPEAT; /* it gave the shard up meanwhile: the new owner knows the end */
    switch (refusal_of(answer)) {
    case NOT_TAKEN:
        return FORWARD_AGAIN;
    case PERHAPS_TAKEN:
        return of->repeats ? FORWARD_REPEAT : FORWARD_PASS_ON;
    case UNAVAILABLE:
        return of->repeats && of->moved ? FORWARD_REPEAT : FORWARD_PASS_ON;
    case NO_REFUSAL:
        break;
    }
    return FORWARD_PASS_ON;
}

bool forward_passes_header(const char *line, size_t bytes)
{
    static const char *const own[] = {"HTTP/",
                                      "Date:",
                                      "Content-Type:",
                                      "Content-Length:",
                                      "Connection:",
                                      "Keep-Alive:",
                                      "Trailer:",
                                      "Transfer-Encoding:",
                                      "Upgrade:",
                                      "Proxy-",
                                      "X-Request-ID:",
                                      "X-Correlation-ID:",
                                      "Vary:",
                                      "Access-Control-",
                                      "Cache-Control:",
                                      "Content-Security-Policy:",
                                      "Referrer-Policy:",
                                      "X-Content-Type-Options:",
                                      "X-Frame-Options:"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (bytes >= strlen(own[i]) && strncasecmp(line, own[i], strlen(own[i])) == 0)
            return false;
    return memchr(line, ':', bytes) != NULL;
}
