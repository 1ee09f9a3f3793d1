#include "map.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>

struct guard {
    sigjmp_buf back;
    uintptr_t first, last;
    struct guard *outer;
};

/* volatile: set before and cleared after the guarded reads, whatever the compiler thinks of them. */
static _Thread_local struct guard *volatile active;
static _Thread_local volatile sig_atomic_t passing_on;
static struct sigaction previous;
static atomic_flag installing = ATOMIC_FLAG_INIT;

static void give_up(int signal_number) {
    struct sigaction fallback;
    memset(&fallback, 0, sizeof fallback);
    fallback.sa_handler = SIG_DFL;
    sigaction(signal_number, &fallback, NULL);
}

static void handle_bus(int signal_number, siginfo_t *info, void *machine) {
    struct guard *guard = active;
    uintptr_t place = (uintptr_t)info->si_addr;
    if (guard && info->si_code > 0 && place >= guard->first && place <= guard->last) {
        siglongjmp(guard->back, 1);
    }
    /* Not ours.  A handler that came after ours may pass it back to us: end such a circle. */
    bool sent = info->si_code <= 0; /* by kill() or raise(): it does not come again by itself */
    if (passing_on || (!(previous.sa_flags & SA_SIGINFO) && previous.sa_handler == SIG_DFL)) {
        give_up(signal_number);
        if (sent) raise(signal_number);
        return;
    }
    if (!(previous.sa_flags & SA_SIGINFO) && previous.sa_handler == SIG_IGN) {
        if (!sent) give_up(signal_number);
        return;
    }
    passing_on = 1;
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signal_number, info, machine);
    } else {
        previous.sa_handler(signal_number);
    }
    passing_on = 0;
}

int aeor_guard_install(void) {
    struct sigaction now, ours;
    int code = AEOR_OK;
    while (atomic_flag_test_and_set(&installing)) {
    }
    if (sigaction(SIGBUS, NULL, &now) != 0) {
        code = AEOR_ERR_ARGUMENT;
    } else if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != handle_bus) {
        memset(&ours, 0, sizeof ours);
        ours.sa_sigaction = handle_bus;
        /* NODEFER: the jump out of the handler then has no signal mask to restore. */
        ours.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
        sigemptyset(&ours.sa_mask);
        previous = now;
        if (sigaction(SIGBUS, &ours, NULL) != 0) code = AEOR_ERR_ARGUMENT;
    }
    atomic_flag_clear(&installing);
    return code;
}

__attribute__((noinline)) int aeor_guarded(const void *base, uint64_t length, int (*work)(void *),
                                           void *context) {
    struct guard guard;
    int code;
    if (length == 0) return work(context);
    guard.first = (uintptr_t)base;
    guard.last = guard.first + (uintptr_t)(length - 1);
    guard.outer = active;
    if (sigsetjmp(guard.back, 0) != 0) {
        active = guard.outer;
        return AEOR_ERR_FAULT;
    }
    active = &guard;
    code = work(context);
    active = guard.outer;
    return code;
}

struct copying {
    uint8_t *to;
    const uint8_t *from;
    size_t length;
};

static int copy_work(void *context) {
    struct copying *copying = context;
    memcpy(copying->to, copying->from, copying->length);
    return AEOR_OK;
}

int aeor_map_copy(uint8_t *to, const uint8_t *map, uint64_t map_length, uint64_t offset,
                  uint64_t length) {
    if (!aeor_inside(offset, length, map_length) || length > SIZE_MAX) return AEOR_ERR_BOUNDS;
    if (length == 0) return AEOR_OK;
    struct copying copying = {to, map + offset, (size_t)length};
    return aeor_guarded(copying.from, length, copy_work, &copying);
}
