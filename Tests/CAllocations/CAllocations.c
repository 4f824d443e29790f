// The tests' program has these in place of glibc's, for itself and for every library in it: they count, and hand on.
#include "CAllocations.h"

#include <errno.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

// Of each thread, so that what others do at the time is not counted.
static _Thread_local int counts;
static _Thread_local long count;

void allocations_begin(void) {
    count = 0;
    counts = 1;
}

long allocations_end(void) {
    counts = 0;
    return count;
}

void *malloc(size_t size) {
    count += counts;
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    count += counts;
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    count += counts;
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    count += counts;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *memory = memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *place = memory;
    return 0;
}
