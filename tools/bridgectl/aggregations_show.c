/* SPDX-License-Identifier: MIT */
/* aggregations_show.c - rows of an aggregation as a table that may stay and move, and why a window is not
 * final. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "bridgectl.h"
#include "core/csv.h"
#include "core/frame.h"

#define CALL_TIMEOUT_MS 30000
#define LIMIT_DEFAULT 20
#define INTERVAL_MS_DEFAULT 1000
#define WIDTH_DEFAULT 80
#define HEIGHT_DEFAULT 24
#define BARS_MAX 10     /* rows of the chart */
#define TABLE_LINES 3   /* of the screen around its rows: title, head, cursor */
#define CHART_LINES 2   /* around its bars: blank, name of the measure */
#define CHART_HEIGHT 8  /* a smaller screen has no chart */
#define NARROW_WIDTH 40 /* a narrower one shows the time of day without the date */
#define VALUES_MAX 24   /* measures shown as columns */

#define CURSOR_OFF "\x1b[?25l"
#define CURSOR_BACK "\r\x1b[K\x1b[?25h"

static volatile sig_atomic_t stopped, at_rest, drawing; /* drawing: without a cursor */

/* While it waits for an answer or for time to pass nothing is half printed: it ends at once. */
static void on_signal(int number)
{
    (void)number;
    stopped = 1;
    if (!at_rest)
        return;
    if (drawing && write(STDOUT_FILENO, CURSOR_BACK, sizeof CURSOR_BACK - 1) < 0)
        _exit(EXIT_NO);
    _exit(EXIT_FINE);
}

struct show {
    const struct ctl *ctl;
    struct api *api;
    const char *name, *measure;
    struct text_list keys; /* NAME=VALUE */
    const char *group, *version, *state;
    int64_t limit, interval_ms;
    bool follow, as_json, as_csv;
    bool screen;       /* standard output is a terminal that is drawn on again and again */
    struct json *told; /* items as they were last; NULL: none */
};

/* -- asking -- */

static bool add_keys(struct buffer *path, const struct text_list *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        const char *equals = strchr(keys->items[i], '=');
        if (equals == NULL || equals == keys->items[i])
            return false;
        char *name = must_strdup(keys->items[i]);
        name[equals - keys->items[i]] = '\0';
        struct buffer encoded = {0};
        append_encoded(&encoded, name);
        append_query(path, buffer_text(&encoded), equals + 1);
        buffer_fini(&encoded);
        free(name);
    }
    return true;
}

/* Parameters of the lists and of an explanation: a key that is called so is reached by --group only. */
static const char *const show_parameters[] = {
    "type",   "version", "group",  "from",  "to",    "window_ms",  "limit",
    "cursor", "order",   "format", "after", "state", "timeout_ms", NULL};
static const char *const explain_parameters[] = {
    "type", "version", "window_start", "group", "after", "timeout_ms", NULL};

static bool make_path(const struct show *show, int64_t limit, struct buffer *path)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)limit);
    buffer_append_text(path, "/api/v1/aggregations");
    append_query(path, "type", show->name);
    append_query(path, "limit", number);
    append_query(path, "version", show->version);
    append_query(path, "group", show->group);
    append_query(path, "state", show->state);
    return add_keys(path, &show->keys);
}

static enum error_code ask(const struct show *show, int64_t limit, struct api_answer *answer,
                           struct error *error)
{
    struct buffer path = {0};
    make_path(show, limit, &path); /* keys were looked at before */
    at_rest = 1;
    enum error_code code =
        api_get(show->api, "GET", buffer_text(&path), CALL_TIMEOUT_MS, answer, error);
    at_rest = 0;
    buffer_fini(&path);
    return code;
}

/* -- as text -- */

static char *value_text(const struct json *value)
{
    enum json_type type = json_type_of(value);
    char number[32];
    if (type == JSON_STRING)
        return plain_text(json_string_or(value, ""));
    if (type == JSON_NUMBER && !json_is_int(value)) {
        frame_number(json_double_value(value), number);
        return must_strdup(number);
    }
    return type == JSON_ABSENT || type == JSON_NULL ? must_strdup("-") : json_to_text(value);
}

/* The start of a row's window, without a fraction that is zero. */
static char *start_text(const struct json *item)
{
    char *text = value_text(json_get(item, "window_start"));
    size_t bytes = strlen(text);
    if (bytes > 5 && strcmp(text + bytes - 5, ".000Z") == 0)
        strcpy(text + bytes - 5, "Z");
    return text;
}

static const char *time_of_day(const char *start)
{
    const char *time = strchr(start, 'T');
    return time != NULL ? time + 1 : "";
}

/* Names of the columns of values: keys and measures of the first row; window times stand there already. */
static int value_names(const struct json *items, const char *names[VALUES_MAX])
{
    const struct json *values = json_get(json_at(items, 0), "values");
    int count = 0;
    for (size_t i = 0; i < json_size(values) && count < VALUES_MAX; i++) {
        const char *name = json_name_at(values, i, NULL);
        if (strcmp(name, "window_start") != 0 && strcmp(name, "window_end") != 0 &&
            strcmp(name, "unique_counts_exact") != 0)
            names[count++] = name;
    }
    return count;
}

static void add_cell(struct text_list *cells, const char *text)
{
    text_list_add(cells, plain_text(text));
}

static void free_cells(struct text_list *cells)
{
    for (size_t i = 0; i < cells->count; i++)
        free((char *)(uintptr_t)cells->items[i]); /* our own copies */
    text_list_fini(cells);
}

static void append_table(const struct json *items, int rows, int width, struct buffer *out)
{
    const char *names[VALUES_MAX];
    struct text_list cells = {0};
    int count = value_names(items, names);
    add_cell(&cells, "WINDOW");
    add_cell(&cells, "STATE");
    for (int i = 0; i < count; i++)
        add_cell(&cells, names[i]);
    for (int row = 0; row < rows; row++) {
        const struct json *item = json_at(items, (size_t)row);
        bool timeless = json_type_of(json_get(item, "window_start")) == JSON_NULL;
        char *start = start_text(item);
        add_cell(&cells, width < NARROW_WIDTH && !timeless ? time_of_day(start) : start);
        free(start);
        add_cell(&cells, json_is_true(json_get(item, "final")) ? "final" : timeless ? "-" : "open");
        for (int i = 0; i < count; i++)
            text_list_add(&cells, value_text(json_get(json_get(item, "values"), names[i])));
    }
    frame_table(out, cells.items, count + 2, rows + 1, width);
    free_cells(&cells);
}

/* The measure asked for, else the first value that is a number. */
static const char *measure_of(const struct show *show, const struct json *items)
{
    const char *names[VALUES_MAX];
    const struct json *values = json_get(json_at(items, 0), "values");
    int count = show->measure != NULL ? 0 : value_names(items, names);
    for (int i = 0; i < count; i++)
        if (json_type_of(json_get(values, names[i])) == JSON_NUMBER)
            return names[i];
    return show->measure;
}

/* What does not fit is cut at its end, and groups tell bars of one time apart. */
static bool group_comes_first(const struct json *items, int rows, int width)
{
    bool long_one = false;
    for (int row = 0; row < rows; row++) {
        const struct json *item = json_at(items, (size_t)row);
        char *start = start_text(item), *group = value_text(json_get(item, "group"));
        size_t bytes = strlen(time_of_day(start)) + 1 + strlen(group);
        long_one = long_one || bytes > (size_t)width / FRAME_LABEL_SHARE;
        free(start);
        free(group);
    }
    return long_one;
}

static void append_chart(const struct show *show, const struct json *items, int rows, int width,
                         struct buffer *out)
{
    const char *measure = measure_of(show, items);
    struct frame_bar bars[BARS_MAX] = {{0}};
    struct text_list labels = {0};
    if (measure == NULL || rows == 0)
        return;
    rows = rows < BARS_MAX ? rows : BARS_MAX;
    bool group_first = group_comes_first(items, rows, width);
    for (int row = 0; row < rows; row++) {
        const struct json *item = json_at(items, (size_t)row);
        const struct json *value = json_get(json_get(item, "values"), measure);
        char *start = start_text(item), *group = value_text(json_get(item, "group"));
        const char *time = time_of_day(start);
        struct buffer label = {0};
        buffer_append_format(&label, "%s%s%s", group_first ? group : time,
                             time[0] && group[0] ? " " : "", group_first ? time : group);
        text_list_add(&labels, buffer_take(&label));
        bars[row] = (struct frame_bar){.label = labels.items[row],
                                       .known = json_type_of(value) == JSON_NUMBER,
                                       .value = json_double_value(value)};
        free(start);
        free(group);
    }
    char *title = plain_text(measure);
    buffer_append_format(out, "\n%.*s\n", width, title);
    free(title);
    frame_bars(out, bars, rows, width, show->ctl->colour ? "\x1b[36m" : "", colour_end(show->ctl));
    free_cells(&labels);
}

/* -- the screen -- */

static void screen_size(int *width, int *height)
{
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *width = known ? size.ws_col : WIDTH_DEFAULT;
    *height = known ? size.ws_row : HEIGHT_DEFAULT;
}

/* The whole frame; problem may be "". */
static void make_frame(const struct show *show, const struct json *items, const char *problem,
                       int width, int height, struct buffer *out)
{
    int found = (int)json_size(items);
    int room = height - TABLE_LINES - (problem[0] != '\0'), bars = 0;
    if (height >= CHART_HEIGHT) {
        room -= CHART_LINES;
        bars = found < room / 2 ? found : room / 2;
        bars = bars < BARS_MAX ? bars : BARS_MAX;
    }
    room = room > bars ? room - bars : 0;
    int rows = found < room ? found : room;
    char *title = plain_text(show->name), *plain = plain_text(problem);
    buffer_append_format(out, "%.*s\n", width, title);
    if (found == 0)
        buffer_append_format(out, "%.*s\n", width, "nothing counted yet");
    else
        append_table(items, rows, width, out);
    append_chart(show, items, bars, width, out);
    if (plain[0] != '\0')
        buffer_append_format(out, "%.*s\n", width, plain);
    free(title);
    free(plain);
}

/* Over the frame before, of so many lines; gives the lines of this one. */
static int draw(const struct buffer *frame, int lines_before)
{
    int lines = 0;
    if (lines_before > 0)
        printf("\x1b[%dA", lines_before);
    for (const char *line = buffer_text(frame); *line != '\0'; lines++) {
        size_t bytes = strcspn(line, "\n");
        printf("\r\x1b[K%.*s\n", (int)bytes, line);
        line += bytes + (line[bytes] == '\n');
    }
    fputs("\x1b[J", stdout);
    fflush(stdout);
    return lines;
}

static void wait_interval(const struct show *show)
{
    struct timespec interval = {.tv_sec = show->interval_ms / 1000,
                                .tv_nsec = show->interval_ms % 1000 * 1000000};
    at_rest = 1;
    if (!stopped)
        nanosleep(&interval, NULL);
    at_rest = 0;
}

static int follow_on_screen(struct show *show)
{
    int lines = 0, width = 0, height = 0, width_before = 0;
    bool answered = false;
    int outcome = EXIT_FINE;
    while (!stopped) {
        struct error error = {0};
        struct api_answer answer = {0};
        struct buffer frame = {0};
        if (ask(show, show->limit, &answer, &error) == ERR_OK) {
            json_release(show->told);
            show->told = json_hold(json_get(answer.body, "items"));
            answered = true;
        }
        api_answer_fini(&answer);
        if (!answered) {
            outcome = fail(&error);
            break;
        }
        screen_size(&width, &height);
        if (width_before != 0 && width < width_before) { /* lines of before are folded now */
            fputs("\x1b[H\x1b[2J", stdout);
            lines = 0;
        }
        width_before = width;
        fputs(lines == 0 ? CURSOR_OFF : "", stdout); /* none while it moves */
        drawing = 1;
        make_frame(show, show->told, error.text, width, height, &frame);
        lines = draw(&frame, lines);
        buffer_fini(&frame);
        wait_interval(show);
    }
    if (answered)
        fputs(CURSOR_BACK, stdout);
    return outcome;
}

/* -- lines, when nobody looks at a screen -- */

static bool was_told(const struct json *told, const struct json *item)
{
    for (size_t i = 0; i < json_size(told); i++)
        if (json_equal(json_at(told, i), item))
            return true;
    return false;
}

static void print_line(const struct json *item)
{
    const struct json *values = json_get(item, "values");
    char *start = start_text(item);
    bool final = json_is_true(json_get(item, "final"));
    printf("%s %s revision=%lld", start, final ? "final" : "open",
           (long long)json_int_value(json_get(item, "revision")));
    for (size_t i = 0; i < json_size(values); i++) {
        char *name = plain_text(json_name_at(values, i, NULL));
        char *text = value_text(json_member_at(values, i));
        printf(" %s=%s", name, text);
        free(name);
        free(text);
    }
    putchar('\n');
    free(start);
}

/* The columns that the reducer gives: members of the row, then its values. */
static void print_csv(const struct json *item, bool with_head)
{
    static const char *const members[] = {"type",  "version",  "window_start", "window_end",
                                          "group", "revision", "final"};
    const struct json *values = json_get(item, "values");
    struct csv_columns columns = {0};
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        csv_columns_add(&columns, members[i], NULL, members[i]);
    for (size_t i = 0; i < json_size(values); i++)
        csv_columns_add_value(&columns, json_name_at(values, i, NULL));
    if (with_head)
        csv_head(&text, columns.items, columns.count);
    csv_item(&text, columns.items, columns.count, item);
    fwrite(text.data, 1, text.bytes, stdout);
    buffer_fini(&text);
    csv_columns_fini(&columns);
}

/* Rows that are new or changed since the last look, the oldest first. */
static void print_changes(struct show *show, const struct json *items)
{
    bool first = show->told == NULL || json_size(show->told) == 0;
    for (size_t i = json_size(items); i > 0; i--) {
        const struct json *item = json_at(items, i - 1);
        if (was_told(show->told, item))
            continue;
        if (show->as_json)
            print_json(item);
        else if (show->as_csv)
            print_csv(item, first);
        else
            print_line(item);
        first = false;
    }
    fflush(stdout);
    json_release(show->told);
    show->told = json_hold(items);
}

static int follow_as_lines(struct show *show)
{
    bool answered = false, away = false;
    while (!stopped) {
        struct error error = {0};
        struct api_answer answer = {0};
        enum error_code code = ask(show, show->limit, &answer, &error);
        if (code == ERR_OK)
            print_changes(show, json_get(answer.body, "items"));
        else if (!stopped && !away)
            fail(&error);
        api_answer_fini(&answer);
        answered = answered || code == ERR_OK;
        away = code != ERR_OK;
        if (!answered || ferror(stdout))
            return EXIT_NO;
        wait_interval(show);
    }
    return EXIT_FINE;
}

/* -- once -- */

static int show_csv(const struct show *show)
{
    struct buffer path = {0};
    struct api_answer answer = {0};
    struct error error = {0};
    int outcome = EXIT_FINE;
    make_path(show, show->limit, &path);
    append_query(&path, "format", "csv");
    enum error_code code = api_call(show->api, "GET", buffer_text(&path), NULL, NULL,
                                    CALL_TIMEOUT_MS, &answer, &error);
    if (!code && answer.status != 200) {
        api_problem(&answer, &error);
        code = error.code;
    }
    if (code)
        outcome = fail(&error);
    else
        fwrite(buffer_text(&answer.text), 1, answer.text.bytes, stdout);
    api_answer_fini(&answer);
    buffer_fini(&path);
    return outcome;
}

static int show_once(const struct show *show)
{
    struct api_answer answer = {0};
    struct error error = {0};
    int width = WIDTH_DEFAULT, height;
    if (ask(show, show->limit, &answer, &error) != ERR_OK) {
        api_answer_fini(&answer);
        return fail(&error);
    }
    const struct json *items = json_get(answer.body, "items");
    int rows = (int)json_size(items);
    struct buffer text = {0};
    bool terminal = isatty(STDOUT_FILENO) != 0;
    if (terminal)
        screen_size(&width, &height);
    if (show->as_json) {
        print_json(items);
    } else if (rows == 0) {
        puts("nothing counted yet");
    } else {
        append_table(items, rows, terminal ? width : INT16_MAX, &text);
        if (show->measure != NULL)
            append_chart(show, items, rows, width, &text);
        fputs(buffer_text(&text), stdout);
    }
    buffer_fini(&text);
    api_answer_fini(&answer);
    return EXIT_FINE;
}

/* A measure that no row can have. Without rows nobody knows. */
static int check_measure(const struct command *command, const struct show *show)
{
    struct api_answer answer = {0};
    struct error error = {0};
    int outcome = EXIT_GO_ON;
    if (ask(show, 1, &answer, &error) != ERR_OK) {
        outcome = fail(&error);
    } else {
        const struct json *item = json_at(json_get(answer.body, "items"), 0);
        if (item != NULL && json_get(json_get(item, "values"), show->measure) == NULL)
            outcome = usage_fault(command, "--measure %s: %s has no such measure", show->measure,
                                  show->name);
    }
    api_answer_fini(&answer);
    return outcome;
}

static int show_rows(struct show *show)
{
    struct sigaction action = {.sa_handler = on_signal};
    if (!show->follow)
        return show->as_csv ? show_csv(show) : show_once(show);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return show->screen ? follow_on_screen(show) : follow_as_lines(show);
}

static bool same_name(const char *key, const char *other)
{
    size_t bytes = strcspn(key, "=");
    return strncmp(key, other, bytes) == 0 && (other[bytes] == '\0' || other[bytes] == '=');
}

static int check_keys(const struct command *command, const struct text_list *keys,
                      const char *const *parameters)
{
    struct buffer path = {0};
    bool fine = add_keys(&path, keys);
    buffer_fini(&path);
    if (!fine)
        return usage_fault(command, "--key must be NAME=VALUE");
    for (size_t i = 0; i < keys->count; i++) {
        int bytes = (int)strcspn(keys->items[i], "=");
        for (int j = 0; parameters[j] != NULL; j++)
            if (same_name(keys->items[i], parameters[j]))
                return usage_fault(command,
                                   "--key %.*s: the API has a parameter of that name; use --group",
                                   bytes, keys->items[i]);
        for (size_t j = 0; j < i; j++)
            if (same_name(keys->items[i], keys->items[j]))
                return usage_fault(command, "--key %.*s is given twice", bytes, keys->items[i]);
    }
    return EXIT_GO_ON;
}

static int run_show(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct show show = {.ctl = ctl, .limit = LIMIT_DEFAULT, .interval_ms = INTERVAL_MS_DEFAULT};
    struct text_list names = {0};
    const struct argument table[] = {
        {"--follow", ARGUMENT_FLAG, &show.follow, NULL, "go on showing what changes, until Ctrl-C",
         0, 0},
        {"--group", ARGUMENT_TEXT, &show.group, "GROUP", "only this group, as rows show it", 0, 0},
        {"--key", ARGUMENT_LIST, &show.keys, "NAME=VALUE",
         "only groups with this key; may be given many times", 0, 0},
        {"--state", ARGUMENT_TEXT, &show.state, "STATE", "only windows that are open, or final", 0,
         0},
        {"--version", ARGUMENT_TEXT, &show.version, "VERSION",
         "another version than the loaded one", 0, 0},
        {"--limit", ARGUMENT_INT, &show.limit, "N", "the newest rows (20)", 1, 1000},
        {"--measure", ARGUMENT_TEXT, &show.measure, "NAME", "draw this one as bars", 0, 0},
        {"--interval", ARGUMENT_INT, &show.interval_ms, "MS", "with --follow: between looks (1000)",
         100, 3600000},
        {"--json", ARGUMENT_FLAG, &show.as_json, NULL,
         "print a JSON array; with --follow a line for each row", 0, 0},
        {"--csv", ARGUMENT_FLAG, &show.as_csv, NULL, "print CSV", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &names);
    if (outcome == EXIT_GO_ON)
        outcome = check_keys(command, &show.keys, show_parameters);
    if (outcome == EXIT_GO_ON && show.as_json && show.as_csv)
        outcome = usage_fault(command, "--json and --csv exclude each other");
    if (outcome == EXIT_GO_ON) {
        show.name = names.items[0];
        show.screen = isatty(STDOUT_FILENO) != 0 && !show.as_json && !show.as_csv;
        show.api = api_new(ctl, ctl->config->reducer_url);
        outcome = show.measure != NULL ? check_measure(command, &show) : EXIT_GO_ON;
        if (outcome == EXIT_GO_ON)
            outcome = show_rows(&show);
        api_free(show.api);
    }
    json_release(show.told);
    text_list_fini(&show.keys);
    text_list_fini(&names);
    return outcome;
}

/* -- why a window is not final -- */

static void print_explanation(const struct ctl *ctl, const struct json *body)
{
    static const char *const head[] = {"PARTITION", "REASON", "READ BY", "WATERMARK", "UNREAD"};
    const struct json *waiting = json_get(body, "waiting_for");
    char *sentence = plain_text(json_string_or(json_get(body, "explanation"), ""));
    printf("%s\n", sentence);
    free(sentence);
    if (json_size(waiting) == 0)
        return;
    struct table table;
    table_start(&table, 5, head);
    for (size_t i = 0; i < json_size(waiting); i++) {
        const struct json *item = json_at(waiting, i);
        char *unread = value_text(json_get(item, "unread_records"));
        table_cell_int(&table, json_int_value(json_get(item, "partition")));
        table_cell(&table, json_string_or(json_get(item, "reason"), NULL));
        table_cell(&table, json_string_or(json_get(item, "owner"), NULL));
        table_cell(&table, json_string_or(json_get(item, "watermark"), NULL));
        table_cell(&table, unread);
        free(unread);
    }
    putchar('\n');
    table_print(&table, ctl);
}

static int explain(const struct ctl *ctl, const char *path, bool as_json)
{
    struct api_answer answer = {0};
    struct error error = {0};
    struct api *api = api_new(ctl, ctl->config->reducer_url);
    int outcome = EXIT_FINE;
    if (api_get(api, "GET", path, CALL_TIMEOUT_MS, &answer, &error) != ERR_OK)
        outcome = fail(&error);
    else if (as_json)
        print_json(answer.body);
    else
        print_explanation(ctl, answer.body);
    api_answer_fini(&answer);
    api_free(api);
    return outcome;
}

static int run_explain(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *start = NULL, *group = NULL, *version = NULL;
    bool as_json = false;
    struct text_list names = {0}, keys = {0};
    struct buffer path = {0};
    const struct argument table[] = {
        {"--start", ARGUMENT_TEXT, &start, "TIME", "start of the window, in RFC 3339", 0, 0},
        {"--group", ARGUMENT_TEXT, &group, "GROUP", "its group, as rows show it", 0, 0},
        {"--key", ARGUMENT_LIST, &keys, "NAME=VALUE", "or the keys of the group, all of them", 0,
         0},
        {"--version", ARGUMENT_TEXT, &version, "VERSION", "another version than the loaded one", 0,
         0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &names);
    if (outcome == EXIT_GO_ON)
        outcome = check_keys(command, &keys, explain_parameters);
    if (outcome == EXIT_GO_ON) {
        buffer_append_text(&path, "/api/v1/windows/explain");
        append_query(&path, "type", names.items[0]);
        append_query(&path, "window_start", start);
        append_query(&path, "group", group);
        append_query(&path, "version", version);
        add_keys(&path, &keys);
        outcome = explain(ctl, buffer_text(&path), as_json);
    }
    buffer_fini(&path);
    text_list_fini(&names);
    text_list_fini(&keys);
    return outcome;
}

const struct command aggregation_row_commands[] = {
    {.name = "aggregations show",
     .summary = "newest rows of an aggregation; --follow goes on",
     .usage =
         "NAME [--follow] [--group GROUP | --key NAME=VALUE]... [--state open|final] [--limit N]"
         " [--measure NAME]\n       [--interval MS] [--version VERSION] [--json | --csv]",
     .prose = "On a terminal --follow draws the table again in place, with bars of the measure "
              "(the first\nnumber without --measure), until Ctrl-C. Elsewhere it prints each of "
              "the newest --limit rows\nthat is new or changed; when more change within "
              "--interval, give a larger --limit.",
     .example =
         "bridgectl aggregations show time_window --follow --measure stamps_per_second\n"
         "bridgectl aggregations show workflow_status_distribution --key namespace=demo --csv",
     .run = run_show},
    {.name = "aggregations explain",
     .summary = "why a window is or is not final",
     .usage = "NAME [--start TIME] [--group GROUP | --key NAME=VALUE...] [--version VERSION] "
              "[--json]",
     .prose = "Says what the window waits for: the partitions that hold it, how far they are, who "
              "reads them and\nhow many records wait; and what was lost of it.",
     .example = "bridgectl aggregations explain time_window --start 2026-11-21T16:31:00Z",
     .run = run_explain},
    {.name = NULL},
};
