/* SPDX-License-Identifier: MIT */
/* limits.h - every bound of the system, with its name and unit. Reaching one is back-pressure or a
 * clear error, counted, never silent. Relations between limits are checked when this is compiled.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define CONTENT_BYTES_MAX (10u << 20)   /* content of one submission; past it 413 */
#define HTTP_BODY_BYTES_MAX (16u << 20) /* request body in octets, JSON escapes included */
#define HTTP_BATCH_BODY_BYTES_MAX (64u << 20)
#define HTTP_BATCH_ITEMS_MAX 1000 /* submissions in one batch request */
#define HTTP_BODIES_BYTES_MAX                                                                      \
    (1u << 30) /* bodies of all requests of a server at one time; past it 503 */
#define HTTP_HEADER_BYTES_MAX 16384 /* all headers of a request */
#define HTTP_WAIT_MS_MAX 60000      /* longest ?wait= */
#define HTTP_THREADS_RESERVED                                                                      \
    32 /* or half of them: never held by requests that wait for an event */
#define HTTP_RESPONSE_BYTES_MAX (32u << 20) /* body accepted from a service */

#define JSON_DEPTH_MAX 128                  /* nesting of arrays and objects */
#define STATE_DATA_BYTES_MAX (16u << 20)    /* data between two states */
#define CONTRACT_BYTES_MAX (1u << 20)       /* one contract file */
#define CONTRACT_VERSIONS_MAX 10000         /* offered at one time; past it publishing is refused */
#define CONTRACT_RUN_DATA_BYTES_MAX 262144  /* data between two states in `contracts run` */
#define CONTRACT_CASE_BYTES_MAX (16u << 20) /* one line of `contracts run --cases` */

#define ASL_STATE_NAME_CHARACTERS_MAX 80   /* States Language: longest state name */
#define ASL_ERROR_NAME_BYTES_MAX 256       /* of an error; what is longer is cut */
#define ASL_CAUSE_BYTES_MAX 32768          /* of an error's cause; what is longer is cut */
#define RETRY_CAUSE_BYTES_MAX 256          /* of the last attempt, kept while the next one waits */
#define ASL_STATES_MAX 10000               /* states of one machine, branches included */
#define ASL_NESTING_MAX 16                 /* Parallel, or And, Or, Not, within each other */
#define RECORD_DEPTH_MAX 4                 /* nesting of a record around the data in it */
#define ASL_DATA_DEPTH_MAX 100             /* nesting of data between states */
#define ASL_BRANCHES_MAX 1000              /* branches of one Parallel state */
#define ASL_TRANSITIONS_IN_A_ROW_MAX 10000 /* states in a row without waiting for anything */
#define ASL_TRANSITIONS_PER_STEP_MAX                                                               \
    400000                           /* the same, all branches and items of a workflow together */
#define ASL_CALLS_PER_STEP_MAX 20000 /* tasks that these may begin */
#define ASL_STEP_MADE_BYTES_MAX (256u << 20) /* memory for data that these may make */
#define ASL_STEP_WALKED_BYTES_MAX (1u << 30) /* data that these may look through */
#define ASL_TRANSITIONS_MAX 1000000          /* states entered by one workflow in its life */
#define ASL_MAP_ITEMS_MAX 100000             /* items of one Map state */
#define ASL_MAP_CONCURRENCY_DEFAULT 40       /* iterations at once where MaxConcurrency is 0 */
#define ASL_MAP_CONCURRENCY_MAX 1000         /* a larger MaxConcurrency runs so many at once */
#define ASL_FRAMES_MAX 10000                 /* branches and iterations that run at once */
#define ASL_VARIABLE_NAME_CHARACTERS_MAX 80
#define ASL_VARIABLES_BYTES_MAX (16u << 20)   /* all variables of one scope, as text */
#define JSONPATH_BYTES_MAX 16384              /* text of one path */
#define JSONPATH_PARTS_MAX 128                /* names, indexes, ... of one path */
#define JSONPATH_UNION_MAX 256                /* names or indexes of one part */
#define JSONPATH_FILTER_NESTING_MAX 16        /* filters, parentheses and ! within each other */
#define JSONPATH_RESULTS_MAX 1000000          /* values that one path may find */
#define JSONPATH_RESULT_BYTES_MAX (64u << 20) /* their text, where a path finds parts repeatedly */
#define JSONPATH_VISITS_MAX 10000000          /* values that it looks at meanwhile */
#define JSONPATH_DEPTH_MAX 512                /* nesting of that search */
#define SIGNALS_KEPT_MAX 1000                 /* signals that came before anybody waits for them */
#define SIGNALS_KEPT_BYTES_MAX (16u << 20)    /* data of the signals that one workflow keeps */
#define SIGNAL_KEYS_MAX 100000                /* idempotency keys of signals of one workflow */
#define SIGNAL_BYTES_MAX (1u << 20)           /* data of one signal, or a task's answer by token */
#define AGAIN_DOUBLINGS_MAX 4    /* the pause before a refused start is made again grows 16 times */
#define HEARTBEAT_RECORD_MS 1000 /* between two recorded heartbeats of a task, at least */
#define LOCAL_TASKS_PER_RECORD_MAX 5000        /* tasks answered at once within one record */
#define LOCAL_BYTES_PER_RECORD_MAX (64u << 20) /* payloads of the events they publish */
#define EVENTS_PER_RECORD_MAX 30000        /* events of one record, those of its end not counted */
#define TASK_TOKEN_BYTES_MAX 128           /* text of a task token, the NUL included */
#define ASL_SECONDS_MAX 99999999           /* largest number of seconds in a definition */
#define ASL_MAX_DELAY_SECONDS_MAX 31622400 /* largest MaxDelaySeconds, 366 days */

#define NAME_BYTES_MAX 128 /* contract, state, service, signal names */
#define NAMESPACE_BYTES_MAX 255
#define IDEMPOTENCY_KEY_BYTES_MAX 255
#define CORRELATION_ID_BYTES_MAX 128
#define FILE_PATH_BYTES_MAX 4096

#define EVENT_BYTES_MAX 900000 /* one envelope; below the broker's 1,000,000 */

#define LIST_ITEMS_MAX 1000
#define LIST_ITEMS_DEFAULT 100

#define POSTGRES_STATEMENTS_MAX 1024 /* prepared per connection; further ones are sent unprepared */

#define SHARDS_MAX 256
#define WORKERS_MAX 64
#define INSTANCES_MAX 256 /* orchestrators on one database that share its shards; one each at most */

_Static_assert(INSTANCES_MAX <= SHARDS_MAX, "more could hold nothing");
_Static_assert(ASL_TRANSITIONS_PER_STEP_MAX >= 4 * ASL_MAP_ITEMS_MAX, "all items in one go");
_Static_assert(ASL_DATA_DEPTH_MAX + 16 <= JSON_DEPTH_MAX, "stored data must be readable again");
_Static_assert(EVENTS_PER_RECORD_MAX + 8 <= 32767, "seq_count is a smallint");
_Static_assert(ASL_CALLS_PER_STEP_MAX >= ASL_FRAMES_MAX, "all that run at once may begin at once");
_Static_assert(CONTENT_BYTES_MAX < HTTP_BODY_BYTES_MAX, "content must fit a request");
_Static_assert(HTTP_BODY_BYTES_MAX <= STATE_DATA_BYTES_MAX, "an accepted input must fit a state");

#endif
