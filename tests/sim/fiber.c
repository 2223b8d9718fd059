/* SPDX-License-Identifier: MIT */
#include "fiber.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <ucontext.h>

#include "base/error.h"

#define STACK_BYTES (512u << 10)
#define PROCESSES_MAX 1024
#define FIBERS_MAX 1024
#define SWITCHES_MAX 4000000
#define FILES_MAX 1024
#define FILE_BASE 100000
#define WATCHED_MAX 64
#define AT_ONCE_MAX 1000
#define SPIN_US 3 /* what a look without waiting costs */

struct fiber {
    ucontext_t context;
    void *stack;
    struct process *process;
    fiber_run *run;
    void *argument, *result;
    bool ended, ready;
    const void *waits_for;
    int64_t until_us;
    bool woken;
    int at_once; /* looks at files in a row that found something without waiting */
};

struct happening {
    int64_t at_us;
    uint64_t number;
    fiber_happening *happening;
    void *context;
};

enum file_kind { FILE_FREE, FILE_EVENT, FILE_EPOLL, FILE_SOCKET };
struct watched {
    int number;
    uint32_t events;
    epoll_data_t data;
};
struct file {
    enum file_kind kind;
    struct process *process;
    uint64_t count; /* of an eventfd, or 1: the socket is readable */
    struct watched watched[WATCHED_MAX];
    int watched_count;
};

static struct {
    int64_t now_us;
    struct chance chance;
    ucontext_t scheduler;
    struct fiber *current;
    struct fiber *fibers[FIBERS_MAX];
    int fibers_count;
    struct process *processes[PROCESSES_MAX];
    int processes_count;
    struct happening *happenings;
    size_t happenings_count, happenings_capacity;
    uint64_t happenings_number;
    bool spins; /* somebody looks and looks */
    struct file files[FILES_MAX];
    void *stacks[FIBERS_MAX];
    int stacks_count;
    struct fiber *joined; /* outside of the world: the thread that was run at once */
} world;

/* -- chance: splitmix64, by Sebastiano Vigna -- */

struct chance chance_of(uint64_t seed, uint64_t purpose)
{
    struct chance chance = {seed * UINT64_C(0x9e3779b97f4a7c15) + purpose};
    (void)chance_draw(&chance);
    return chance;
}

uint64_t chance_draw(struct chance *chance)
{
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t chance_between(struct chance *chance, int64_t from, int64_t to)
{
    return from + (int64_t)(chance_draw(chance) % (uint64_t)(to - from + 1));
}

bool chance_one_in(struct chance *chance, int64_t n)
{
    return n > 0 && chance_draw(chance) % (uint64_t)n == 0;
}

/* -- things that happen -- */

static bool sooner(const struct happening *a, const struct happening *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->number < b->number);
}

void fiber_at(int64_t at_us, fiber_happening *happening, void *context)
{
    if (world.happenings_count == world.happenings_capacity) {
        world.happenings_capacity =
            world.happenings_capacity == 0 ? 256 : world.happenings_capacity * 2;
        world.happenings =
            must_realloc(world.happenings, world.happenings_capacity * sizeof *world.happenings);
    }
    size_t place = world.happenings_count++;
    struct happening added = {at_us < world.now_us ? world.now_us : at_us,
                              world.happenings_number++, happening, context};
    while (place > 0 && sooner(&added, &world.happenings[(place - 1) / 2])) {
        world.happenings[place] = world.happenings[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world.happenings[place] = added;
}

static struct happening take_happening(void)
{
    struct happening first = world.happenings[0];
    struct happening last = world.happenings[--world.happenings_count];
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= world.happenings_count)
            break;
        if (child + 1 < world.happenings_count &&
            sooner(&world.happenings[child + 1], &world.happenings[child]))
            child++;
        if (!sooner(&world.happenings[child], &last))
            break;
        world.happenings[place] = world.happenings[child];
        place = child;
    }
    if (world.happenings_count > 0)
        world.happenings[place] = last;
    return first;
}

/* -- fibers -- */

static void enter(void)
{
    struct fiber *fiber = world.current;
    fiber->result = fiber->run(fiber->argument);
    fiber->ended = true;
    fiber_wake(fiber);
    setcontext(&world.scheduler);
}

static struct fiber *fiber_new(struct process *process, fiber_run *run, void *argument)
{
    struct fiber *fiber = must_calloc(1, sizeof *fiber);
    BUG_IF(world.fibers_count == FIBERS_MAX);
    fiber->process = process;
    fiber->run = run;
    fiber->argument = argument;
    fiber->ready = true;
    if (world.stacks_count > 0)
        fiber->stack = world.stacks[--world.stacks_count];
    else
        fiber->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    BUG_IF(fiber->stack == MAP_FAILED);
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, enter, 0);
    world.fibers[world.fibers_count++] = fiber;
    return fiber;
}

static void leave(void)
{
    struct fiber *fiber = world.current;
    swapcontext(&fiber->context, &world.scheduler);
}

bool fiber_wait(const void *object, int64_t until_us)
{
    struct fiber *fiber = world.current;
    BUG_IF(fiber == NULL);
    fiber->waits_for = object;
    fiber->until_us = until_us;
    fiber->ready = false;
    fiber->woken = false;
    leave();
    fiber->waits_for = NULL;
    return fiber->woken;
}

void fiber_wake(const void *object)
{
    for (int i = 0; i < world.fibers_count; i++) {
        struct fiber *fiber = world.fibers[i];
        if (!fiber->ready && !fiber->ended && fiber->waits_for == object && object != NULL)
            fiber->ready = fiber->woken = true;
    }
}

void fiber_sleep_us(int64_t us) { (void)fiber_wait(NULL, world.now_us + (us < 1 ? 1 : us)); }

int64_t fiber_now_us(void) { return world.now_us; }
struct process *fiber_process(void)
{
    return world.current == NULL ? NULL : world.current->process;
}

/* -- processes -- */

struct process *process_new(const char *name)
{
    struct process *process = must_calloc(1, sizeof *process);
    BUG_IF(world.processes_count == PROCESSES_MAX);
    process->number = world.processes_count;
    process->alive = true;
    process->chance = chance_of(chance_draw(&world.chance), (uint64_t)process->number);
    strncpy(process->name, name, sizeof process->name - 1);
    world.processes[world.processes_count++] = process;
    return process;
}

void process_start(struct process *process, fiber_run *run, void *context)
{
    (void)fiber_new(process, run, context);
}

void process_kill(struct process *process)
{
    if (!process->alive)
        return;
    process->alive = false;
    for (int i = 0; i < FILES_MAX; i++)
        if (world.files[i].process == process)
            world.files[i].kind = FILE_FREE;
    if (process->killed != NULL)
        process->killed(process);
    if (world.current != NULL && world.current->process == process)
        setcontext(&world.scheduler);
}

void process_freeze(struct process *process, int64_t us)
{
    process->frozen_until_us = world.now_us + us;
    if (world.current != NULL && world.current->process == process)
        (void)fiber_wait(NULL, process->frozen_until_us);
}

void fiber_effect(void)
{
    struct process *process = fiber_process();
    if (process == NULL)
        return;
    process->effects++;
    if (process->kill_in > 0 && --process->kill_in == 0)
        process_kill(process);
    if (process->freeze_in > 0 && --process->freeze_in == 0)
        process_freeze(process, process->freeze_us);
}

/* -- the world -- */

void fiber_world_start(uint64_t seed, int64_t now_us)
{
    world.now_us = now_us;
    world.chance = chance_of(seed, 0x5c4ed);
    world.current = NULL;
    world.fibers_count = world.processes_count = 0;
    world.happenings_count = 0;
    world.happenings_number = 0;
    world.spins = false;
    for (int i = 0; i < FILES_MAX; i++)
        world.files[i].kind = FILE_FREE;
}

void fiber_world_end(void)
{
    for (int i = 0; i < world.fibers_count; i++) {
        world.stacks[world.stacks_count++] = world.fibers[i]->stack;
        free(world.fibers[i]);
    }
    for (int i = 0; i < world.processes_count; i++)
        free(world.processes[i]);
    world.fibers_count = world.processes_count = 0;
    world.happenings_count = 0;
}

static void bury(void)
{
    int kept = 0;
    for (int i = 0; i < world.fibers_count; i++) {
        struct fiber *fiber = world.fibers[i];
        if (fiber->process->alive && !fiber->ended) {
            world.fibers[kept++] = fiber;
            continue;
        }
        world.stacks[world.stacks_count++] = fiber->stack;
        fiber->stack = NULL;
        if (!fiber->ended || !fiber->process->alive)
            free(fiber); /* an ended one may be joined: it stays */
    }
    world.fibers_count = kept;
}

static int64_t thaws_us(const struct fiber *fiber, int64_t at_us)
{
    return fiber->process->frozen_until_us > at_us ? fiber->process->frozen_until_us : at_us;
}

static struct fiber *choose(void)
{
    int count = 0;
    struct fiber *chosen = NULL;
    for (int i = 0; i < world.fibers_count; i++) {
        struct fiber *fiber = world.fibers[i];
        if (!fiber->ready && fiber->until_us <= world.now_us)
            fiber->ready = true;
        if (fiber->ready && fiber->process->frozen_until_us <= world.now_us &&
            chance_one_in(&world.chance, ++count))
            chosen = fiber;
    }
    return chosen;
}

static int64_t next_us(void)
{
    int64_t next = world.happenings_count == 0 ? INT64_MAX : world.happenings[0].at_us;
    for (int i = 0; i < world.fibers_count; i++) {
        struct fiber *fiber = world.fibers[i];
        int64_t at_us = thaws_us(fiber, fiber->ready ? world.now_us : fiber->until_us);
        if (at_us < next)
            next = at_us;
    }
    return next;
}

enum fiber_end fiber_world_run(bool (*done)(void), int64_t until_us)
{
    for (int switches = 0; switches < SWITCHES_MAX && !world.spins; switches++) {
        bury();
        struct fiber *fiber = choose();
        if (fiber != NULL) {
            world.current = fiber;
            swapcontext(&world.scheduler, &fiber->context);
            world.current = NULL;
            if (done())
                return FIBER_DONE;
            continue;
        }
        int64_t at_us = next_us();
        if (at_us == INT64_MAX)
            return FIBER_STUCK;
        if (at_us > until_us)
            return FIBER_LATE;
        world.now_us = at_us > world.now_us ? at_us : world.now_us;
        while (world.happenings_count > 0 && world.happenings[0].at_us <= world.now_us) {
            struct happening first = take_happening();
            first.happening(first.context);
        }
        if (done())
            return FIBER_DONE;
    }
    return FIBER_SPINS;
}

/* -- files -- */

static struct file *file_of(int number)
{
    int place = number - FILE_BASE;
    return place < 0 || place >= FILES_MAX || world.files[place].kind == FILE_FREE
               ? NULL
               : &world.files[place];
}

static int file_new(enum file_kind kind)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (world.files[i].kind == FILE_FREE) {
            memset(&world.files[i], 0, offsetof(struct file, watched));
            world.files[i].watched_count = 0;
            world.files[i].kind = kind;
            world.files[i].process = fiber_process();
            return FILE_BASE + i;
        }
    BUG_IF(true);
    return -1;
}

static void file_changed(const struct file *file)
{
    if (file->process != NULL)
        fiber_wake(file->process); /* whoever waits for files looks again */
}

int fiber_socket(void) { return file_new(FILE_SOCKET); }

void fiber_socket_set(int number, bool readable)
{
    struct file *file = file_of(number);
    if (file == NULL)
        return;
    file->count = readable;
    file_changed(file);
}

void fiber_socket_close(int number)
{
    struct file *closed = file_of(number);
    if (closed == NULL)
        return;
    closed->kind = FILE_FREE;
    for (int i = 0; i < FILES_MAX; i++) { /* nobody watches it any more */
        struct file *file = &world.files[i];
        for (int k = 0; file->kind == FILE_EPOLL && k < file->watched_count; k++)
            if (file->watched[k].number == number)
                file->watched[k--] = file->watched[--file->watched_count];
    }
}

int __wrap_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags)
{
    (void)flags;
    int number = file_new(FILE_EVENT);
    file_of(number)->count = count;
    return number;
}

int __wrap_eventfd_write(int number, uint64_t value);
int __wrap_eventfd_write(int number, uint64_t value)
{
    struct file *file = file_of(number);
    if (file == NULL)
        return -1;
    file->count += value;
    file_changed(file);
    return 0;
}

int __wrap_eventfd_read(int number, uint64_t *value);
int __wrap_eventfd_read(int number, uint64_t *value)
{
    struct file *file = file_of(number);
    if (file == NULL || file->count == 0)
        return -1;
    *value = file->count;
    file->count = 0;
    return 0;
}

ssize_t __real_read(int number, void *data, size_t bytes);
ssize_t __wrap_read(int number, void *data, size_t bytes);
ssize_t __wrap_read(int number, void *data, size_t bytes)
{
    if (number < FILE_BASE)
        return __real_read(number, data, bytes);
    uint64_t value = 0;
    if (__wrap_eventfd_read(number, &value) != 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(data, &value, sizeof value);
    return sizeof value;
}

ssize_t __real_write(int number, const void *data, size_t bytes);
ssize_t __wrap_write(int number, const void *data, size_t bytes);
ssize_t __wrap_write(int number, const void *data, size_t bytes)
{
    uint64_t value;
    if (number < FILE_BASE)
        return __real_write(number, data, bytes);
    memcpy(&value, data, sizeof value);
    return __wrap_eventfd_write(number, value) == 0 ? (ssize_t)sizeof value : -1;
}

int __real_close(int number);
int __wrap_close(int number);
int __wrap_close(int number)
{
    if (number < FILE_BASE)
        return __real_close(number);
    fiber_socket_close(number);
    return 0;
}

int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
    (void)flags;
    return file_new(FILE_EPOLL);
}

int __wrap_epoll_ctl(int epoll, int operation, int number, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int number, struct epoll_event *event)
{
    struct file *file = file_of(epoll);
    int place = 0;
    BUG_IF(file == NULL || file->kind != FILE_EPOLL);
    while (place < file->watched_count && file->watched[place].number != number)
        place++;
    bool there = place < file->watched_count;
    if (file_of(number) == NULL || there == (operation == EPOLL_CTL_ADD)) {
        errno = there ? EEXIST : ENOENT;
        return -1;
    }
    if (operation == EPOLL_CTL_DEL) {
        file->watched[place] = file->watched[--file->watched_count];
        return 0;
    }
    BUG_IF(place == WATCHED_MAX);
    file->watched[place] = (struct watched){number, event->events, event->data};
    if (!there)
        file->watched_count++;
    return 0;
}

static uint32_t state_of(int number, uint32_t wanted)
{
    const struct file *file = file_of(number);
    if (file == NULL)
        return 0;
    uint32_t state = file->count > 0 ? EPOLLIN : 0;
    return (state | (file->kind == FILE_SOCKET ? (uint32_t)EPOLLOUT : 0)) & wanted;
}

static int64_t until_of(int timeout_ms)
{
    return timeout_ms < 0 ? INT64_MAX - 1 : world.now_us + (int64_t)timeout_ms * 1000;
}

/* What is readable again and again, with nothing done about it, would take a whole processor. */
static void found_at_once(bool waited)
{
    world.current->at_once = waited ? 0 : world.current->at_once + 1;
    if (world.current->at_once < AT_ONCE_MAX)
        return;
    world.spins = true;
    leave();
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int64_t until_us = until_of(timeout_ms);
    bool waited = timeout_ms == 0;
    if (waited) /* also one that does not wait lets the others run */
        fiber_sleep_us(SPIN_US);
    for (;;) {
        int count = 0;
        struct file *file = file_of(epoll);
        BUG_IF(file == NULL);
        for (int i = 0; i < file->watched_count && count < max; i++) {
            uint32_t state = state_of(file->watched[i].number, file->watched[i].events);
            if (state != 0)
                events[count++] =
                    (struct epoll_event){.events = state, .data = file->watched[i].data};
        }
        if (count > 0)
            found_at_once(waited);
        if (count > 0 || world.now_us >= until_us)
            return count;
        waited = true;
        (void)fiber_wait(fiber_process(), until_us);
    }
}

int __wrap_poll(struct pollfd *places, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *places, nfds_t count, int timeout_ms)
{
    int64_t until_us = until_of(timeout_ms);
    bool waited = timeout_ms == 0;
    if (waited)
        fiber_sleep_us(SPIN_US);
    for (;;) {
        int ready = 0;
        for (nfds_t i = 0; i < count; i++) {
            places[i].revents = 0;
            if (places[i].fd >= 0)
                places[i].revents = (short)state_of(places[i].fd, (uint32_t)places[i].events);
            ready += places[i].revents != 0;
        }
        if (ready > 0)
            found_at_once(waited);
        if (ready > 0 || world.now_us >= until_us)
            return ready;
        waited = true;
        (void)fiber_wait(fiber_process(), until_us);
    }
}

/* -- threads: a pthread_t is the address of its fiber -- */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, fiber_run *run,
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, fiber_run *run,
                          void *argument)
{
    (void)attributes;
    struct fiber *fiber;
    if (world.current == NULL) { /* outside of the world: at once */
        fiber = must_calloc(1, sizeof *fiber);
        fiber->result = run(argument);
        fiber->ended = true;
    } else {
        fiber = fiber_new(world.current->process, run, argument);
    }
    *thread = (pthread_t)fiber;
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    struct fiber *fiber = (struct fiber *)thread; /* NOLINT: what __wrap_pthread_create gave */
    while (!fiber->ended)
        (void)fiber_wait(fiber, INT64_MAX - 1);
    if (result != NULL)
        *result = fiber->result;
    return 0;
}

int __wrap_pthread_detach(pthread_t thread);
int __wrap_pthread_detach(pthread_t thread)
{
    (void)thread;
    return 0;
}

int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
    if (world.current == NULL)
        return __real_pthread_mutex_lock(lock);
    while (pthread_mutex_trylock(lock) != 0)
        fiber_sleep_us(SPIN_US);
    return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
    fiber_wake(condition);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t *condition)
{
    fiber_wake(condition);
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
    (void)fiber_wait(condition, INT64_MAX - 1);
    return __wrap_pthread_mutex_lock(lock);
}
