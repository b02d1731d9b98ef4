/*
 * vm-launch-update: hands QEMU firmware that the next reset launches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For Linux guests on x86-64 with QEMU's device vm-launch-update.  The image is
 * put into memory whose physical address is known, and fw_cfg is told where it
 * is, by DMA.  vm-launch-update.1 is its manual.  One file and no library:
 *
 *     gcc -O2 -static -o vm-launch-update vm-launch-update.c
 */

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3, /* by QEMU */
};

__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *format, ...)
{
    va_list words;

    fputs("vm-launch-update: error: ", stderr);
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(EXIT_ERROR);
}

/* --- fw_cfg by its ports --------------------------------------------------- */

enum {
    PORT_SELECTOR = 0x510, /* a word */
    PORT_DATA = 0x511,     /* a byte each time */
    PORT_DMA = 0x514, /* two words of 32 bits, big endian, the higher first */
    PORTS = 12,

    ITEM_SIGNATURE = 0x00,
    ITEM_ID = 0x01,
    ITEM_FILES = 0x19,
    ID_HAS_DMA = 1 << 1,

    DMA_ERROR = 1 << 0,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};

typedef struct {
    uint32_t size;
    uint16_t key;
    uint16_t reserved;
    char name[56];
} FwCfgFile;

typedef struct {
    uint32_t control, length;
    uint64_t address;
} FwCfgDma;

static void fw_cfg_select(uint16_t key)
{
    outw(key, PORT_SELECTOR);
}

static void fw_cfg_read(void *to, size_t size)
{
    uint8_t *bytes = to;

    while (size--) {
        *bytes++ = inb(PORT_DATA);
    }
}

static void fw_cfg_open(void)
{
    char signature[4];
    uint32_t id;

    if (ioperm(PORT_SELECTOR, PORTS, 1)) {
        fail("the ports of fw_cfg: %s (it wants root, and a kernel that is not "
             "locked down)",
             strerror(errno));
    }
    fw_cfg_select(ITEM_SIGNATURE);
    fw_cfg_read(signature, sizeof(signature));
    if (memcmp(signature, "QEMU", sizeof(signature))) {
        fail("there is no fw_cfg, so this is no guest of QEMU's");
    }
    fw_cfg_select(ITEM_ID);
    fw_cfg_read(&id, sizeof(id));
    if (!(le32toh(id) & ID_HAS_DMA)) {
        fail("this machine's fw_cfg has no DMA");
    }
}

/* 0: there is none. */
static uint16_t fw_cfg_find(const char *name, uint32_t size)
{
    uint32_t count;
    FwCfgFile file;

    fw_cfg_select(ITEM_FILES);
    fw_cfg_read(&count, sizeof(count));
    for (count = be32toh(count); count; count--) {
        fw_cfg_read(&file, sizeof(file));
        if (!strncmp(file.name, name, sizeof(file.name)) &&
            be32toh(file.size) == size) {
            return be16toh(file.key);
        }
    }
    return 0;
}

/* --- The file etc/vmlaunchupdate ------------------------------------------- */

/* Little endian. */
typedef struct {
    uint16_t version, status;
    uint32_t padding;
    uint64_t capabilities;
    uint64_t control;
    uint64_t image_address, image_size;
    uint64_t opaque_address, opaque_size;
} LaunchUpdate;

_Static_assert(sizeof(LaunchUpdate) == 56, "as QEMU has it");

#define CONTROL_DISABLE (UINT64_C(1) << 0)
#define CONTROL_HOSTS_FILE (UINT64_C(1) << 1)
#define IS_IGVM (UINT64_C(1) << 32) /* in control and capabilities */

static uint16_t the_key;

static LaunchUpdate launch_update_read(void)
{
    LaunchUpdate file;

    fw_cfg_select(the_key);
    fw_cfg_read(&file, sizeof(file));
    return file;
}

static void launch_update_open(void)
{
    LaunchUpdate file;

    fw_cfg_open();
    the_key = fw_cfg_find("etc/vmlaunchupdate", sizeof(file));
    if (!the_key) {
        fail("the host takes no firmware from this guest: its QEMU has no "
             "device vm-launch-update");
    }
    file = launch_update_read();
    if (le16toh(file.version) != 1) {
        fail("etc/vmlaunchupdate has version %u, and this program knows 1",
             le16toh(file.version));
    }
    if (!(le64toh(file.capabilities) & IS_IGVM)) {
        fail("the host does not understand IGVM files");
    }
}

static const char *status_name(uint16_t status)
{
    switch (status) {
    case 0:
        return "done";
    case 1:
        return "failed";
    case 2:
        return "this guest was not started from IGVM";
    }
    return "unknown";
}

static void print_status(void)
{
    LaunchUpdate file = launch_update_read();

    printf("version %u\nstatus %u (%s)\ncapabilities 0x%" PRIx64
           "\ncontrol 0x%" PRIx64 "\nopaque 0x%" PRIx64 ":0x%" PRIx64 "\n",
           le16toh(file.version), le16toh(file.status),
           status_name(le16toh(file.status)), le64toh(file.capabilities),
           le64toh(file.control), le64toh(file.opaque_address),
           le64toh(file.opaque_size));
}

/* --- Memory that has one physical address ---------------------------------- */

enum {
    PAGE = 4096
};

/* A run of pieces that follow each other in physical memory. */
typedef struct {
    uint64_t address, size;
    size_t piece; /* bytes of each */
    uint8_t **pieces;
} Memory;

/* Of reserved memory, one piece. */
static Memory map_reserved(uint64_t address, uint64_t size, uint64_t needed)
{
    Memory memory = {address, size, size, malloc(sizeof(uint8_t *))};
    int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
    void *bytes;

    if (size < needed) {
        fail("--memory has 0x%" PRIx64 " bytes, and 0x%" PRIx64 " are needed",
             size, needed);
    }
    if (address % PAGE || size % PAGE) {
        fail("--memory has no whole pages of 4096 bytes");
    }
    if (fd < 0) {
        fail("/dev/mem: %s", strerror(errno));
    }
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                 (off_t)address);
    if (bytes == MAP_FAILED) {
        fail("/dev/mem at 0x%" PRIx64 ": %s (is it reserved, as by memmap= on "
             "the kernel's command line?)",
             address, strerror(errno));
    }
    close(fd);
    memory.pieces[0] = bytes;
    return memory;
}

static size_t huge_page_size(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    size_t kib = 0;
    char line[128];

    while (file && fgets(line, sizeof(line), file) &&
           sscanf(line, "Hugepagesize: %zu kB", &kib) != 1) {}
    if (file) {
        fclose(file);
    }
    if (!kib) {
        fail("this kernel has no huge pages: say --memory");
    }
    return kib * 1024;
}

static uint64_t physical_address(int pagemap, const void *page)
{
    const uint64_t present = UINT64_C(1) << 63;
    const uint64_t frame = (UINT64_C(1) << 55) - 1;
    uint64_t entry;

    if (pread(pagemap, &entry, sizeof(entry),
              (off_t)((uintptr_t)page / PAGE * sizeof(entry))) !=
        sizeof(entry)) {
        fail("/proc/self/pagemap: %s", strerror(errno));
    }
    if (!(entry & present) || !(entry & frame)) {
        fail("/proc/self/pagemap does not say where a page is: it wants root");
    }
    return (entry & frame) * PAGE;
}

typedef struct {
    uint64_t address;
    uint8_t *bytes;
} HugePage;

static int by_address(const void *a, const void *b)
{
    const HugePage *one = a, *other = b;

    return one->address < other->address ? -1 : one->address > other->address;
}

/* Where @needed of them follow each other; @count: there is no such place. */
static size_t find_run(const HugePage *pages, size_t count, size_t needed,
                       size_t size)
{
    size_t first = 0, i;

    for (i = 0; i < count; i++) {
        if (i && pages[i].address != pages[i - 1].address + size) {
            first = i;
        }
        if (i - first + 1 == needed) {
            return first;
        }
    }
    return count;
}

/*
 * The pool is taken page by page until enough of them follow each other.  What
 * is not needed goes back when this program ends.
 */
static Memory map_huge_pages(uint64_t needed)
{
    const size_t size = huge_page_size();
    const size_t run = (needed + size - 1) / size;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    HugePage *pages = NULL;
    size_t count = 0, first = 0, i;
    Memory memory;

    if (pagemap < 0) {
        fail("/proc/self/pagemap: %s", strerror(errno));
    }
    do {
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

        if (bytes == MAP_FAILED) {
            fail("no %zu huge pages of %zu KiB that follow each other, and the "
                 "pool gave %zu: raise vm.nr_hugepages, early after boot",
                 run, size / 1024, count);
        }
        memset(bytes, 0, size);
        pages = realloc(pages, (count + 1) * sizeof(*pages));
        pages[count++] = (HugePage){physical_address(pagemap, bytes), bytes};
        qsort(pages, count, sizeof(*pages), by_address);
        first = find_run(pages, count, run, size);
    } while (first == count);
    close(pagemap);

    memory = (Memory){pages[first].address, run * size, size,
                      calloc(run, sizeof(uint8_t *))};
    for (i = 0; i < run; i++) {
        memory.pieces[i] = pages[first + i].bytes;
    }
    free(pages);
    return memory;
}

static void put(const Memory *memory, uint64_t at, const void *from,
                size_t size)
{
    const uint8_t *bytes = from;

    while (size) {
        size_t within = at % memory->piece;
        size_t part = memory->piece - within < size ? memory->piece - within
                                                    : size;

        memcpy(memory->pieces[at / memory->piece] + within, bytes, part);
        at += part;
        bytes += part;
        size -= part;
    }
}

/* --- What is asked for ----------------------------------------------------- */

static uint8_t *read_image(const char *name, size_t *size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat file;
    uint8_t *bytes;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &file)) {
        fail("%s: %s", name, strerror(errno));
    }
    if (!S_ISREG(file.st_mode)) {
        fail("%s is no regular file", name);
    }
    *size = file.st_size;
    bytes = malloc(*size + 1);
    while (bytes && done < *size) {
        ssize_t got = read(fd, bytes + done, *size - done);

        if (got <= 0) {
            fail("%s: %s", name, got ? strerror(errno) : "it became shorter");
        }
        done += got;
    }
    close(fd);
    if (!bytes) {
        fail("no memory for %s", name);
    }
    if (*size < 4 || memcmp(bytes, "IGVM", 4)) {
        fail("%s is no IGVM file", name);
    }
    return bytes;
}

/* The first page is fw_cfg's request and what it writes; then the image. */
static void ask(const Memory *memory, const LaunchUpdate *what)
{
    volatile FwCfgDma *dma = (volatile FwCfgDma *)memory->pieces[0];
    const uint64_t buffer = memory->address + sizeof(*dma);
    uint32_t left;

    put(memory, sizeof(*dma), what, sizeof(*what));
    dma->length = htobe32(sizeof(*what));
    dma->address = htobe64(buffer);
    dma->control = htobe32((uint32_t)the_key << 16 | DMA_SELECT | DMA_WRITE);
    __sync_synchronize();
    outl(htobe32((uint32_t)(memory->address >> 32)), PORT_DMA);
    outl(htobe32((uint32_t)memory->address), PORT_DMA + 4);
    do {
        __sync_synchronize();
        left = be32toh(dma->control);
    } while (left & ~(uint32_t)DMA_ERROR);
    if (left & DMA_ERROR) {
        fail("fw_cfg could not read its request at 0x%" PRIx64 ": does the "
             "host see that memory?",
             memory->address);
    }
}

/* --- The command line ------------------------------------------------------ */

typedef struct {
    const char *image;
    uint64_t control;
    uint64_t memory, memory_size;
    uint64_t opaque, opaque_size;
    bool has_memory, hosts, status, dry_run, reboot;
} Options;

static void print_usage(FILE *to)
{
    fputs(
        "usage: vm-launch-update [OPTION]... FILE\n"
        "       vm-launch-update --host | --disable | --status\n"
        "\n"
        "Hands QEMU the IGVM file FILE, from which the next reset launches\n"
        "this guest.\n"
        "\n"
        "  --once               for the next reset alone, and then the host's\n"
        "  --host               back to the host's firmware\n"
        "  --disable            and from then on QEMU takes nothing else\n"
        "  --memory ADDR:SIZE   in this reserved memory (/dev/mem), and not "
        "in\n"
        "                       huge pages\n"
        "  --opaque ADDR:SIZE   the range that this guest hands itself\n"
        "  --dry-run            do all but tell QEMU\n"
        "  --status             print what QEMU says, and nothing else\n"
        "  --reboot             reboot at once if it was taken\n"
        "  --help\n"
        "\n"
        "Exit status: 0 taken, 1 an error, 2 usage, 3 QEMU did not take it.\n",
        to);
}

__attribute__((noreturn)) static void bad_usage(const char *why)
{
    fprintf(stderr, "vm-launch-update: error: %s\n", why);
    print_usage(stderr);
    exit(EXIT_USAGE);
}

static void read_range(const char *text, uint64_t *address, uint64_t *size)
{
    char *end;

    errno = 0;
    *address = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)*text) || *end != ':' ||
        !isdigit((unsigned char)end[1])) {
        bad_usage("a range is ADDRESS:SIZE, both numbers");
    }
    *size = strtoull(end + 1, &end, 0);
    if (*end || errno || !*size || *address + *size < *address) {
        bad_usage("a range is ADDRESS:SIZE, both numbers");
    }
}

static Options read_options(int argc, char **argv)
{
    enum {
        ONCE,
        HOST,
        DISABLE,
        MEMORY,
        OPAQUE,
        DRY_RUN,
        STATUS,
        REBOOT,
        HELP
    };
    static const struct option names[] = {
        {"once", no_argument, NULL, ONCE},
        {"host", no_argument, NULL, HOST},
        {"disable", no_argument, NULL, DISABLE},
        {"memory", required_argument, NULL, MEMORY},
        {"opaque", required_argument, NULL, OPAQUE},
        {"dry-run", no_argument, NULL, DRY_RUN},
        {"status", no_argument, NULL, STATUS},
        {"reboot", no_argument, NULL, REBOOT},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    Options options = {.image = NULL};
    bool once = false;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case ONCE:
            once = true;
            break;
        case HOST:
            options.hosts = true;
            break;
        case DISABLE:
            options.control |= CONTROL_DISABLE;
            break;
        case MEMORY:
            options.has_memory = true;
            read_range(optarg, &options.memory, &options.memory_size);
            break;
        case OPAQUE:
            read_range(optarg, &options.opaque, &options.opaque_size);
            break;
        case DRY_RUN:
            options.dry_run = true;
            break;
        case STATUS:
            options.status = true;
            break;
        case REBOOT:
            options.reboot = true;
            break;
        case HELP:
            print_usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            print_usage(stderr);
            exit(EXIT_USAGE);
        }
    }
    if (argc - optind > 1) {
        bad_usage("there is one FILE");
    }
    options.image = argv[optind];
    if (options.status && argc != 2) {
        bad_usage("--status goes with nothing else");
    }
    if (once && !options.image) {
        bad_usage("--once is about a FILE");
    }
    if (options.hosts && options.image) {
        bad_usage("it is the host's firmware or FILE: --once gets both, one "
                  "after the other");
    }
    if (!options.image && !options.hosts && !options.control &&
        !options.opaque_size && !options.status) {
        bad_usage("there is no FILE");
    }
    if (once || options.hosts) {
        options.control |= CONTROL_HOSTS_FILE;
    }
    if (options.image) {
        options.control |= IS_IGVM;
    }
    return options;
}

/* --- All ------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    Options options = read_options(argc, argv);
    LaunchUpdate what;
    Memory memory;
    uint8_t *image = NULL;
    size_t size = 0;
    uint16_t status;

    launch_update_open();
    if (options.status) {
        print_status();
        return EXIT_SUCCESS;
    }
    if (options.image) {
        image = read_image(options.image, &size);
    }
    memory = options.has_memory
               ? map_reserved(options.memory, options.memory_size, PAGE + size)
               : map_huge_pages(PAGE + size);
    put(&memory, PAGE, image, size);
    what = (LaunchUpdate){
        .control = htole64(options.control),
        .image_address = htole64(image ? memory.address + PAGE : 0),
        .image_size = htole64(size),
        .opaque_address = htole64(options.opaque),
        .opaque_size = htole64(options.opaque_size),
    };
    if (options.dry_run) {
        printf("would say: control 0x%" PRIx64 ", 0x%zx bytes at 0x%" PRIx64
               "\n",
               options.control, size, le64toh(what.image_address));
        return EXIT_SUCCESS;
    }
    ask(&memory, &what);
    status = le16toh(launch_update_read().status);
    if (status) {
        fprintf(stderr,
                "vm-launch-update: error: QEMU did not take it, status %u "
                "(%s); the host's event KVM_LAUNCH_UPDATE says why\n",
                status, status_name(status));
        return EXIT_REFUSED;
    }
    puts(image           ? "taken: the next reset launches it"
         : options.hosts ? "taken: the next reset launches the host's firmware"
                         : "taken");
    if (options.reboot) {
        fflush(stdout);
        sync();
        reboot(RB_AUTOBOOT);
        fail("reboot: %s", strerror(errno));
    }
    return EXIT_SUCCESS;
}
