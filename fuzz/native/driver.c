/* Runs a fuzz target without libFuzzer: replays a corpus, then mutates it, always the same way.
 *
 *     TARGET [--runs N] [--seed N] [--only N] FILE...
 *
 * Round n depends on the seed and n alone; --only repeats one.  When a round aborts (with
 * ASAN_OPTIONS=abort_on_error=1), its number is printed and its input kept as fuzz-failure.bin. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 1 << 16, MOST_FILES = 4096 };

static struct input {
    uint8_t *data;
    size_t size;
} corpus[MOST_FILES], current;
static size_t corpus_size;
static unsigned long long current_round;
static uint64_t state;

static void keep_failure(int signal_number) {
    char line[64];
    int length = snprintf(line, sizeof line, "failed in round %llu\n", current_round);
    int file = open("fuzz-failure.bin", O_CREAT | O_TRUNC | O_WRONLY, 0644);
    ssize_t done = write(2, line, (size_t)length) + write(file, current.data, current.size);
    (void)done;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t chance(uint64_t below) { /* splitmix64 */
    uint64_t x = (state += 0x9e3779b97f4a7c15u);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (x ^ x >> 31) % below;
}

static void mutate(uint8_t *data, size_t *size) {
    static const uint64_t numbers[] = {0,          1,          0x7f,       0xff,
                                       0x7fff,     0xffff,     0x3fffffff, 0x40000000,
                                       0x7fffffff, 0xffffffff, INT64_MAX,  UINT64_MAX};
    size_t at = *size ? chance(*size) : 0, left = *size - at;
    size_t length = 1 + chance(64);
    switch (chance(7)) {
    case 0:
        if (left) data[at] ^= (uint8_t)(1u << chance(8));
        break;
    case 1:
        if (left) data[at] = (uint8_t)chance(256);
        break;
    case 2: { /* a number at the edge, in one of the widths, perhaps one off */
        uint64_t number = numbers[chance(sizeof numbers / sizeof *numbers)] + chance(3) - 1;
        size_t width = (size_t)1 << chance(4);
        if (width <= left) memcpy(data + at, &number, width);
        break;
    }
    case 3: /* cut out */
        if (length > left) length = left;
        memmove(data + at, data + at + length, left - length);
        *size -= length;
        break;
    case 4: /* doubled */
        if (length > left) length = left;
        if (*size + length > LONGEST) break;
        memmove(data + at + length, data + at, left);
        *size += length;
        break;
    case 5: /* cut off */
        *size = at;
        break;
    default: { /* a piece of another input over it, or behind it */
        struct input *other = corpus + chance(corpus_size);
        size_t from = other->size ? chance(other->size) : 0;
        length = chance(512);
        if (length > other->size - from) length = other->size - from;
        if (at + length > LONGEST) break;
        memcpy(data + at, other->data + from, length);
        if (at + length > *size) *size = at + length;
    }
    }
}

/* On the heap in its exact size, so that a sanitizer sees every byte read behind it. */
static void run(const uint8_t *data, size_t size) {
    current.data = malloc(size);
    current.size = size;
    if (size) memcpy(current.data, data, size);
    LLVMFuzzerTestOneInput(current.data, size);
    free(current.data);
}

static void load(const char *name) {
    static uint8_t data[LONGEST];
    FILE *file = fopen(name, "rb");
    if (file == NULL || corpus_size == MOST_FILES) exit(2);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    corpus[corpus_size].data = malloc(size ? size : 1);
    memcpy(corpus[corpus_size].data, data, size);
    corpus[corpus_size++].size = size;
}

int main(int argc, char **argv) {
    static uint8_t data[LONGEST];
    unsigned long long runs = 0, seed = 1, only = 0;
    signal(SIGABRT, keep_failure);
    for (int i = 1; i < argc; i++) {
        unsigned long long *option = !strcmp(argv[i], "--runs")   ? &runs
                                     : !strcmp(argv[i], "--seed") ? &seed
                                     : !strcmp(argv[i], "--only") ? &only
                                                                  : NULL;
        if (option != NULL && i + 1 < argc) {
            *option = strtoull(argv[++i], NULL, 10);
        } else {
            load(argv[i]);
        }
    }
    if (corpus_size == 0) return 2;
    for (size_t i = 0; i < corpus_size && !only; i++) run(corpus[i].data, corpus[i].size);
    for (current_round = only ? only : 1; current_round <= (only ? only : runs); current_round++) {
        state = seed * 0x100000001b3u ^ current_round * 0x9e3779b97f4a7c15u;
        struct input *start = corpus + chance(corpus_size);
        size_t size = start->size;
        memcpy(data, start->data, size);
        for (uint64_t steps = 1 + chance(6); steps > 0; steps--) mutate(data, &size);
        run(data, size);
    }
    return 0;
}
