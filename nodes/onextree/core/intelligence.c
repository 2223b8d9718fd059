/* SPDX-License-Identifier: MIT */
#include "onextree/core/intelligence.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define RULE_WORDS_MAX 12

struct rule {
    const char *words[RULE_WORDS_MAX]; /* lower case, ended by NULL */
    const char *analysis_type;
    const char *confidence; /* NULL: unchanged */
    const char *recommendations;
    const char *patterns[2];
};

/* In order: a later match overrides. */
static const struct rule rules[] = {
    {{"auth", "authentication", "authorization", "login", "logins", "security", NULL},
     "security_analysis",
     "0.90",
     "Check who may call this, how secrets are kept and rotated, and that every refusal is logged "
     "without the secret itself.",
     {"Authentication or authorization is named in the context",
      "Security-sensitive code: review access checks and secrets"}},
    {{"api", "apis", "endpoint", "endpoints", "rest", NULL},
     "api_analysis",
     "0.88",
     "Check that inputs are validated, that errors have stable codes, and that the described "
     "interface is the one that is served.",
     {"API endpoints are named in the context",
      "Request and response shapes are part of a contract"}},
    {{"test", "tests", "testing", "spec", "specs", NULL},
     "test_analysis",
     NULL,
     "Check that each test can fail, that failures name what was expected, and that no test "
     "depends on the order of others.",
     {"Tests or specifications are named in the context",
      "Test code: coverage and independence matter"}},
    {{"database", "databases", "model", "models", "schema", "schemas", NULL},
     "data_analysis",
     "0.87",
     "Check that changes of the schema are migrations, that queries have indexes, and that writes "
     "which belong together are one transaction.",
     {"A database, model or schema is named in the context",
      "Data structures: migrations and compatibility matter"}},
};

#define RULES (sizeof rules / sizeof *rules)

static bool is_word(const char *word, const char *text, size_t bytes)
{
    return strlen(word) == bytes && strncasecmp(word, text, bytes) == 0;
}

static void match_word(const char *text, size_t bytes, bool matched[RULES])
{
    for (size_t i = 0; i < RULES; i++) {
        for (int j = 0; rules[i].words[j] != NULL && !matched[i]; j++)
            matched[i] = is_word(rules[i].words[j], text, bytes);
    }
}

/* Octets of non-ASCII letters belong to their word, so "résumé" is not cut at its accents. */
static bool is_letter(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

void intelligence_analyse(const char *context, size_t bytes, bool tree_loaded,
                          struct intelligence *result)
{
    bool matched[RULES] = {false};
    if (!tree_loaded) {
        *result = (struct intelligence){
            .analysis_type = "minimal",
            .confidence = "0.0",
            .recommendations = "No project tree is loaded; call POST /generate first."};
        return;
    }
    *result = (struct intelligence){
        .analysis_type = "content_validation",
        .confidence = "0.85",
        .recommendations = "Validate the content's form and keep its stamp up to date."};
    for (size_t i = 0; i < bytes;) {
        size_t start = i;
        while (i < bytes && is_letter(context[i]))
            i++;
        match_word(context + start, i - start, matched);
        i += i == start;
    }
    for (size_t i = 0; i < RULES; i++) {
        if (!matched[i])
            continue;
        result->analysis_type = rules[i].analysis_type;
        result->confidence = rules[i].confidence != NULL ? rules[i].confidence : result->confidence;
        result->recommendations = rules[i].recommendations;
        result->patterns[result->patterns_count++] = rules[i].patterns[0];
        result->patterns[result->patterns_count++] = rules[i].patterns[1];
    }
}
