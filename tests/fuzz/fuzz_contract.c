/* SPDX-License-Identifier: MIT */
/* Texts as contracts in YAML, in JSON and as plain state machines: whatever is refused has a finding with its
 * place, whatever is accepted is accepted as JSON too, can be drawn, and starts in the same way each time. */
#include "core/asl_picture.h"
#include "core/contract.h"
#include "fuzz.h"

static void start_twice(const struct contract *contract)
{
    const struct asl_identity identity = {.execution_id = "id",
                                          .execution_name = "name",
                                          .machine_id = "machine",
                                          .machine_name = "machine",
                                          .start_us = 1};
    const struct asl_event event = {.type = ASL_START, .now_us = 1};
    struct asl_effects first = {0}, second = {0};
    struct asl_effects *effects[] = {&first, &second};
    struct asl_execution *executions[2];
    struct json *input = json_object();
    for (int i = 0; i < 2; i++) {
        executions[i] = asl_execution_new(contract->machine, &identity, input);
        asl_execution_limit_data(executions[i], 10000);
        FUZZ_CHECK(asl_step(executions[i], &event, effects[i]) == ERR_OK);
    }
    FUZZ_CHECK(first.count == second.count && first.count > 0);
    for (size_t i = 0; i < first.count; i++)
        FUZZ_CHECK(first.items[i].type == second.items[i].type &&
                   first.items[i].wait == second.items[i].wait &&
                   json_equal(first.items[i].data, second.items[i].data));
    for (int i = 0; i < 2; i++) {
        asl_effects_fini(effects[i]);
        asl_execution_free(executions[i]);
    }
    json_release(input);
}

static void draw(const struct contract *contract)
{
    const struct json *machine = asl_machine_definition(contract->machine);
    for (enum asl_picture_format format = ASL_PICTURE_MERMAID; format <= ASL_PICTURE_TEXT;
         format++) {
        struct buffer picture = {0};
        struct error error = {0};
        enum error_code code = asl_picture_write(machine, contract->name, format, &picture, &error);
        FUZZ_CHECK(code == ERR_OK ? utf8_is_valid(buffer_text(&picture), picture.bytes)
                                  : picture.bytes == 0 && error.text[0]);
        buffer_fini(&picture);
    }
}

/* What was read is the same contract when it is written as JSON. */
static void read_again(const struct contract *contract)
{
    struct findings findings = {0};
    char *text = json_to_text(contract->document);
    struct contract *again =
        contract_parse(json_get(contract->document, "state_machine") ? "a.json" : "a.asl.json",
                       text, strlen(text), &findings);
    FUZZ_CHECK(again != NULL && json_equal(again->document, contract->document));
    FUZZ_CHECK(strcmp(again->version, contract->version) == 0);
    contract_free(again);
    findings_fini(&findings);
    free(text);
}

static void read_as(const char *file, const char *text, size_t bytes)
{
    struct findings findings = {0};
    struct buffer told = {0};
    struct contract *contract = contract_parse(file, text, bytes, &findings);
    FUZZ_CHECK((contract == NULL) == (findings.errors > 0));
    for (size_t i = 0; i < findings.count; i++)
        FUZZ_CHECK(findings.items[i].line > 0 && findings.items[i].column > 0 &&
                   findings.items[i].code && findings.items[i].text[0]);
    findings_write(&findings, &told);
    FUZZ_CHECK(utf8_is_valid(buffer_text(&told), told.bytes));
    if (contract) {
        read_again(contract);
        draw(contract);
        start_twice(contract);
    }
    contract_free(contract);
    buffer_fini(&told);
    findings_fini(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *text = (const char *)bytes;
    read_as("a.yaml", text, count);
    if (count > 0 && text[0] == '{') {
        read_as("a.json", text, count);
        read_as("a.asl.json", text, count);
    }
    return 0;
}
