/* An allocator for convolutions.py: every aligned block (torch and oneDNN make all of theirs so) ends at a page that nobody may
 * touch. Reading or writing past it ends the process at once with READ or WRITE; a write into the few bytes between the block and
 * the page is found when the block is freed. Build: cc -O1 -shared -fPIC -o guard.so guard.c; use: LD_PRELOAD and guard_on(). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { READ = 77, WRITE = 78, SLACK = 79, PAGE = 4096, BLOCKS = 1 << 16, MARK = 0xA5 };
static const uintptr_t FIRST = 0x200000000000, LAST = 0x300000000000;
static uintptr_t next_page = 0x200000000000;
static struct { uintptr_t user; size_t size, pages; } blocks[BLOCKS]; /* open addressing; user 1: was freed */
static int on;

extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void fault(int signal, siginfo_t *info, void *context) {
    _exit(((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2 ? WRITE : READ);
}

void guard_on(void) {
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    on = 1;
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    if (!on || alignment > PAGE || size == 0)
        return (*out = __libc_memalign(alignment, size)) ? 0 : ENOMEM;
    size_t body = (size + alignment - 1) / alignment * alignment, pages = (body + PAGE - 1) / PAGE * PAGE;
    uintptr_t base = __sync_fetch_and_add(&next_page, pages + PAGE), user = base + pages - body;
    if (mmap((void *)base, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) return ENOMEM;
    memset((void *)(user + size), MARK, body - size);
    size_t place = (user >> 6) % BLOCKS;
    while (blocks[place].user > 1) place = (place + 1) % BLOCKS;
    blocks[place].user = user, blocks[place].size = size, blocks[place].pages = pages;
    *out = (void *)user;
    return 0;
}

void free(void *block) {
    uintptr_t user = (uintptr_t)block;
    if (user < FIRST || user >= LAST) {
        __libc_free(block);
        return;
    }
    size_t place = (user >> 6) % BLOCKS;
    while (blocks[place].user != user) place = (place + 1) % BLOCKS;
    for (uintptr_t at = user + blocks[place].size; at % PAGE; at++)
        if (*(unsigned char *)at != MARK) _exit(SLACK);
    munmap((void *)(user / PAGE * PAGE), blocks[place].pages);
    blocks[place].user = 1;
}
