/* SPDX-License-Identifier: MIT */
/* workflow_story.h - contracts, heads and answers for the tests of workflows and of the engine.
 *
 * Owns      What a function returns is the caller's to free.
 */
#ifndef TESTS_WORKFLOW_STORY_H
#define TESTS_WORKFLOW_STORY_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/workflow.h"

#define STORY_START_US 1767225600000000 /* 2026-01-01T00:00:00Z */
#define SECOND_US 1000000
#define STAMPING_CONTRACT "contracts/workflows/metadata_stamping.yaml"

__attribute__((unused)) static struct json *story_json(const char *text)
{
    struct error error = {0};
    struct json *value = json_parse(text, strlen(text), &error, NULL);
    ck_assert_msg(value != NULL, "test data is no JSON: %s: %s", error.text, text);
    return value;
}

__attribute__((unused)) static struct contract *story_contract(const char *text)
{
    struct findings findings = {0};
    struct buffer told = {0};
    struct contract *contract = contract_parse("story.yaml", text, strlen(text), &findings);
    findings_write(&findings, &told);
    ck_assert_msg(contract != NULL, "%s", buffer_text(&told));
    buffer_fini(&told);
    findings_fini(&findings);
    return contract;
}

/* A file of the repository; tests run in its root. */
__attribute__((unused)) static char *story_file(const char *path)
{
    FILE *stream = fopen(path, "r");
    ck_assert_msg(stream != NULL, "cannot read %s from here", path);
    struct buffer text = {0};
    char block[4096];
    for (size_t bytes; (bytes = fread(block, 1, sizeof block, stream)) > 0;)
        buffer_append(&text, block, bytes);
    fclose(stream);
    return buffer_take(&text);
}

__attribute__((unused)) static struct contract *story_stamping(void)
{
    char *text = story_file(STAMPING_CONTRACT);
    struct contract *contract = story_contract(text);
    free(text);
    return contract;
}

__attribute__((unused)) static struct uuid story_id(unsigned number)
{
    struct uuid id = {.octets = {0x01, 0x9a, 0xa1, 0x19, 0xc3, 0xa8, 0x70}};
    id.octets[8] = 0x80;
    id.octets[14] = (uint8_t)(number >> 8);
    id.octets[15] = (uint8_t)number;
    return id;
}

/* A workflow created at created_us that nothing was applied to. */
__attribute__((unused)) static struct workflow *story_workflow_of(
    const char *namespace, const struct contract *contract, unsigned number, int16_t shard,
    const char *input, int64_t created_us, int64_t timeout_ms)
{
    struct workflow_head head = {
        .id = story_id(number),
        .shard = shard,
        .run = 1,
        .namespace = must_strdup(namespace),
        .correlation_id = must_strdup("corr-1"),
        .input = story_json(input),
        .created_us = created_us,
    };
    static struct workflow_environment environment = {.token_secret = "a secret of thirty-two octets.."};
    environment.timeout_ms = timeout_ms; /* is copied */
    return workflow_new(contract, &head, &environment);
}

__attribute__((unused)) static struct workflow *story_workflow(const struct contract *contract,
                                                               unsigned number, int16_t shard,
                                                               const char *input,
                                                               int64_t created_us,
                                                               int64_t timeout_ms)
{
    return story_workflow_of("docs", contract, number, shard, input, created_us, timeout_ms);
}

#endif
