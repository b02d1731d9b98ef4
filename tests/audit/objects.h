/*
 * Which of KVM's objects a file descriptor is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's objects, not userspace's numbers: an fd that is replaced by
 * dup3() means another VM from then on.  VMs are numbered as they are made;
 * what belongs to one is labelled so that the same thing of two VMs has the
 * same label ("vcpu 0", "device 4 0").
 */

#ifndef AUDIT_OBJECTS_H
#define AUDIT_OBJECTS_H

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "catalogue.h"

namespace audit {

struct Object {
    unsigned vm = 0; /* 0: the KVM device itself */
    kvm_reset::FdClass kind = kvm_reset::FdClass::None;
    std::string label;
};

using ObjectPtr = std::shared_ptr<const Object>;

/* Thread-safe.  Issues no system call that this library records. */
class Objects {
public:
    /* What @fd is, or nullptr if it is none of KVM's. */
    ObjectPtr find(int fd);

    /*
     * @parent made @fd, which is a @kind.  @which tells it from others of its
     * kind; those of equal kind and @which are counted.
     */
    ObjectPtr created(const Object &parent, kvm_reset::FdClass kind,
                      const std::string &which, int fd);
    void duplicated(int from, int to);
    void closed(int fd);

    /*
     * QEMU itself, not what prepares a VM, used a vCPU of @vm.  Returns
     * whether another one was in use before.
     */
    bool used(unsigned vm);
    /* The VM that was used last; 0 if none was. */
    unsigned in_use();

    struct Open {
        int fd;
        ObjectPtr object;
    };
    /* Every object of @vm once, by one of its fds. */
    std::vector<Open> of(unsigned vm);

private:
    std::mutex lock_;
    std::map<int, ObjectPtr> by_fd_;
    std::map<std::string, unsigned> made_;
    unsigned vms_ = 0;
    unsigned in_use_ = 0;
};

/* "eventfd 12", the label of an object, "file 8:17", or "closed". */
std::string file_identity(Objects &objects, int fd);

/* What /proc says that @fd is; empty if it is not open. */
std::string link_of(int fd);

} /* namespace audit */

#endif
