/*
 * The memory that the program gave to its guests, as the host sees it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a guest sees in a page and what the host sees in it must be able to
 * differ, and to be the same memory.  So the program's memory is adopted: its
 * contents move into a memfd that is mapped in the same place; memory that is
 * a file's already stays the file's.  Then it can be mapped a second time, into the view (view.h) that KVM is given.
 * Thread-safe, but nobody may write to memory while it is adopted: that is
 * when a slot is made.
 */

#ifndef COCO_HOST_MEMORY_H
#define COCO_HOST_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace coco::host_memory {

/** A memfd of this size, its number out of the program's way; or -errno. */
int new_file(const char *name, uint64_t size);

/** Makes all of it adopted, if it was not; 0 or -errno. Page-aligned. */
int adopt(uint64_t address, uint64_t length);

/** Maps adopted memory at a second place, over what is there; 0 or -errno. */
int map_again(void *at, uint64_t address, uint64_t length);

/** Makes adopted memory zero again; what is not adopted is left alone, and
 *  so is the program's own file, unless files_too. */
void discard(uint64_t address, uint64_t length, bool files_too);

/** The program unmapped it, or mapped something else there. */
void forget(uint64_t address, uint64_t length);

} // namespace coco::host_memory

#endif
