/*
 * Which file an fd number means
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "file_watch.h"

#include <cerrno>

namespace kvm_reset {

FileId FileWatch::identify(int fd)
{
    Watched &watched = watched_[fd];

    if (kernel_.watch(fd) != -EEXIST) {
        /* Another file than before, or one that cannot be watched. */
        watched.generation++;
        watched.users = 0;
    }
    watched.users++;
    return {fd, watched.generation};
}

void FileWatch::forget(FileId id)
{
    auto found = watched_.find(id.fd);

    if (found == watched_.end() ||
        found->second.generation != id.generation ||
        found->second.users == 0) {
        return;
    }
    if (--found->second.users == 0 && kernel_.watched(id.fd)) {
        kernel_.unwatch(id.fd);
    }
}

bool FileWatch::same(FileId id) const
{
    auto found = watched_.find(id.fd);

    return found != watched_.end() &&
           found->second.generation == id.generation &&
           kernel_.watched(id.fd);
}

} /* namespace kvm_reset */
