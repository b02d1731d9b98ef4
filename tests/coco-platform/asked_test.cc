/*
 * Tests of what the environment asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "asked_test.h"

#include <spawn.h>
#include <sys/wait.h>

#include "snp_vm.h"

extern char **environ;

namespace coco_test {

void run_asked(const std::string &filter, const Settings &settings)
{
    std::vector<std::string> environment;
    for (char **entry = environ; *entry; entry++) {
        std::string text = *entry;
        if (!settings.contains(text.substr(0, text.find('=')))) {
            environment.push_back(text);
        }
    }
    for (const auto &[name, value] : settings) {
        environment.push_back(name + "=" + value);
    }
    std::vector<char *> variables;
    for (std::string &entry : environment) {
        variables.push_back(entry.data());
    }
    variables.push_back(nullptr);
    std::string tests = "--gtest_filter=" + filter, program = "/proc/self/exe";
    char *arguments[] = {program.data(), tests.data(), nullptr};
    pid_t child;
    int status = 0;
    ASSERT_EQ(0, posix_spawn(&child, program.c_str(), nullptr, nullptr,
                             arguments, variables.data()));
    ASSERT_EQ(child, waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << filter << " failed, see above: status " << status;
}

TEST(Fault, ComesWhenItIsAskedFor)
{
    run_asked("AskedFault.*",
              {{"KVM_RESET_COCO_FAULT", "SNP_LAUNCH_START:1:EIO:4"}});
}

TEST(AskedFault, AFaultComesOnceAndTheLaunchGoesOn)
{
    NEEDS_SETTING("KVM_RESET_COCO_FAULT");
    SnpVm vm;
    ASSERT_TRUE(vm.good);
    EXPECT_FIRMWARE(4, vm.start());
    EXPECT_EQ(0, vm.start());
}

} // namespace coco_test
