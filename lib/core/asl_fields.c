/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/asl_internal.h"
#include "core/similar.h"

#define ON(type) (1u << (type))
#define ON_ALL (ON(ASL_STATE_TYPES) - 1u)
#define ON_WORK (ON(ASL_TASK) | ON(ASL_PARALLEL) | ON(ASL_MAP))
#define ON_RESULT (ON_WORK | ON(ASL_PASS))
#define ON_NEXT (ON_RESULT | ON(ASL_WAIT))
#define ON_DATA (ON_ALL & ~ON(ASL_FAIL))
#define REFUSED 0u

static const struct field {
    const char *name;
    unsigned types; /* the kinds of states that have it; REFUSED: refused with a word of why */
} fields[] = {
    {"Type", ON_ALL},
    {"Comment", ON_ALL},
    {"QueryLanguage", ON_ALL},
    {"InputPath", ON_DATA},
    {"OutputPath", ON_DATA},
    {"Next", ON_NEXT},
    {"End", ON_NEXT},
    {"ResultPath", ON_RESULT},
    {"Parameters", ON_RESULT},
    {"ResultSelector", ON_WORK},
    {"Retry", ON_WORK},
    {"Catch", ON_WORK},
    {"Result", ON(ASL_PASS)},
    {"Resource", ON(ASL_TASK)},
    {"TimeoutSeconds", ON(ASL_TASK)},
    {"TimeoutSecondsPath", ON(ASL_TASK)},
    {"Seconds", ON(ASL_WAIT)},
    {"SecondsPath", ON(ASL_WAIT)},
    {"Timestamp", ON(ASL_WAIT)},
    {"TimestampPath", ON(ASL_WAIT)},
    {"Choices", ON(ASL_CHOICE)},
    {"Default", ON(ASL_CHOICE)},
    {"Error", ON(ASL_FAIL)},
    {"Cause", ON(ASL_FAIL)},
    {"ErrorPath", ON(ASL_FAIL)},
    {"CausePath", ON(ASL_FAIL)},
    {"Branches", ON(ASL_PARALLEL)},
    {"Assign", ON_NEXT | ON(ASL_CHOICE)},
    {"ItemProcessor", ON(ASL_MAP)},
    {"Iterator", ON(ASL_MAP)},
    {"ItemsPath", ON(ASL_MAP)},
    {"ItemSelector", ON(ASL_MAP)},
    {"MaxConcurrency", ON(ASL_MAP)},
    {"MaxConcurrencyPath", ON(ASL_MAP)},
    {"HeartbeatSeconds", ON(ASL_TASK)},
    {"HeartbeatSecondsPath", ON(ASL_TASK)},
    {"Arguments", REFUSED},
    {"Output", REFUSED},
    {"Items", REFUSED},
    {"Credentials", REFUSED},
    {"ItemReader", REFUSED},
    {"ItemBatcher", REFUSED},
    {"ResultWriter", REFUSED},
    {"Label", REFUSED},
    {"ToleratedFailureCount", REFUSED},
    {"ToleratedFailureCountPath", REFUSED},
    {"ToleratedFailurePercentage", REFUSED},
    {"ToleratedFailurePercentagePath", REFUSED},
};

static void unknown_report(struct asl_compiler *compiler, const char *name,
                           enum asl_state_type type)
{
    struct similar similar = {.name = name};
    struct buffer question = {0};
    bool few = compiler->findings->count < SIMILAR_FINDINGS_MAX;
    for (size_t f = 0; few && f < sizeof fields / sizeof *fields; f++) {
        if (fields[f].types & ON(type))
            similar_try(&similar, fields[f].name);
    }
    asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "a %s state has no field \"%s\"%s",
                  asl_state_type_names[type], name, similar_ask(&similar, &question));
    buffer_fini(&question);
}

/* Reports every field that a state of this type cannot have. */
bool asl_fields_check(struct asl_compiler *compiler, const struct json *document,
                      enum asl_state_type type)
{
    size_t before = compiler->findings->errors;
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        size_t f = 0, count = sizeof fields / sizeof *fields;
        while (f < count && strcmp(fields[f].name, name) != 0)
            f++;
        if (f == count)
            unknown_report(compiler, name, type);
        else if (fields[f].types == REFUSED)
            asl_report_at(compiler, name, "ASL_UNSUPPORTED_FIELD",
                          "the field \"%s\" is not supported", name);
        else if (!(fields[f].types & ON(type)))
            asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "\"%s\" cannot stand in a %s state",
                          name, asl_state_type_names[type]);
    }
    return compiler->findings->errors == before;
}
