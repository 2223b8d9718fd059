/* SPDX-License-Identifier: MIT */
/* Lines as names in the directory of migrations, or as rows of what was applied ("applied 1 checksum"): the order of
 * the names does not matter, and a plan that is accepted has no gap and no missing half. */
#include "core/migration_plan.h"
#include "fuzz.h"

#define LINES_MAX 64

static bool is_file(const char *line) { return strncmp(line, "applied ", 8) != 0; }

static bool take_file(struct migration_plan *plan, const char *line)
{
    struct error error = {0};
    bool taken = false;
    enum error_code code = migration_plan_add_file(plan, line, &taken, &error);
    FUZZ_CHECK(code == ERR_OK || (!taken && error.text[0]));
    return code == ERR_OK;
}

static bool files_are_fine(struct migration_plan *plan)
{
    struct error error = {0};
    enum error_code code = migration_plan_check_files(plan, &error);
    FUZZ_CHECK(code == ERR_OK || error.text[0]);
    for (int i = 0; code == ERR_OK && i < plan->count; i++)
        FUZZ_CHECK(plan->items[i].version == i + 1 && plan->items[i].has_up &&
                   plan->items[i].has_down && plan->items[i].name[0]);
    FUZZ_CHECK(code != ERR_OK || migration_plan_newest(plan) == plan->count);
    return code == ERR_OK;
}

static void apply(struct migration_plan *plan, char *const *lines, int count)
{
    struct error error = {0};
    for (int i = 0; i < count; i++) {
        int version, read = 0;
        if (!is_file(lines[i]) && sscanf(lines[i], "applied %9d %n", &version, &read) == 1)
            (void)!migration_plan_add_applied(plan, version, "name", lines[i] + read, 1, &error);
    }
    int applied = migration_plan_version(plan);
    FUZZ_CHECK(applied >= 0 && applied <= MIGRATION_VERSION_MAX);
    if (migration_plan_check_applied(plan, &error) == ERR_OK)
        FUZZ_CHECK(applied <= migration_plan_newest(plan));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct migration_plan plan = {0}, backwards = {0};
    char *lines[LINES_MAX];
    int lines_count = 0;
    bool taken = true, taken_backwards = true;
    while (rest.bytes > 0 && lines_count < LINES_MAX)
        lines[lines_count++] = fuzz_take_line(&rest);
    for (int i = 0; i < lines_count; i++)
        taken = (!is_file(lines[i]) || take_file(&plan, lines[i])) && taken;
    for (int i = lines_count - 1; i >= 0; i--)
        taken_backwards =
            (!is_file(lines[i]) || take_file(&backwards, lines[i])) && taken_backwards;
    FUZZ_CHECK(taken == taken_backwards);
    bool fine = files_are_fine(&plan), fine_backwards = files_are_fine(&backwards);
    FUZZ_CHECK(!taken || fine == fine_backwards);
    if (fine)
        apply(&plan, lines, lines_count);
    for (int i = 0; i < lines_count; i++)
        free(lines[i]);
    migration_plan_fini(&plan);
    migration_plan_fini(&backwards);
    return 0;
}
