/*
 * Which file an fd number means
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "file_watch.h"

#include <cerrno>

namespace kvm_reset {

Result<FileId> FileWatch::identify(int fd)
{
    int ret = kernel_.watch(fd);

    if (ret < 0 && ret != -EEXIST) {
        return fail(-ret, "cannot watch eventfd %d", fd);
    }
    uint32_t &generation = generations_[fd];
    if (ret == 0) {
        generation++;
    }
    return FileId{fd, generation};
}

bool FileWatch::same(FileId id) const
{
    auto found = generations_.find(id.fd);

    return found != generations_.end() && found->second == id.generation &&
           kernel_.watched(id.fd);
}

} /* namespace kvm_reset */
