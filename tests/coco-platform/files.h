/*
 * Which fd, and which mapping, belongs to what
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Follows open, close, dup and mmap of the files that the platform cares
 * about, so that the last one that goes takes its VM with it.  Thread-safe.
 * What it does not follow: fds that were sent to another process or that a
 * child has.
 */

#ifndef COCO_FILES_H
#define COCO_FILES_H

#include <cstdint>
#include <memory>

#include "vm.h"

namespace coco {

enum class FileKind {
    Vm,
    Vcpu,
    Gmem,
    Other,
    SevDevice
};

/* One open file, however many numbers it has. What it keeps alive goes in
 * the order of the kernel: first the guest_memfd, then the VM. */
struct File {
    FileKind kind;
    std::shared_ptr<Vm> vm;
    std::shared_ptr<Vcpu> vcpu;
    std::unique_ptr<Gmem> gmem;
};

namespace files {

/** The file of this number, or null. */
std::shared_ptr<File> get(int fd);

/** From now on the number is this file's (null: none that matters). The one
 *  it was is returned, to be dropped after the kernel has dropped it. */
std::shared_ptr<File> put(int fd, std::shared_ptr<File> file);

/** A number of the file of this vCPU, or -1: all were closed. */
int number_of(const Vcpu *vcpu);

/** Something of the file is mapped here; it stays alive so long. */
void mapped(uint64_t address, uint64_t length, std::shared_ptr<File> file);

/** Nothing that was mapped here is any more. */
void unmapped(uint64_t address, uint64_t length);

} // namespace files

} // namespace coco

#endif
