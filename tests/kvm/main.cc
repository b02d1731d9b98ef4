/*
 * Runs the tests on a real KVM; no test may hang
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

/* An emulated machine is slow: the appliance gives more. */
unsigned seconds_for_a_test()
{
    const char *given = getenv("KVM_RESET_TEST_SECONDS");
    return given ? atoi(given) : 120;
}

/* Only what a signal handler may do. */
void give_up(int)
{
    const char text[] = "a test took too long: see the last [ RUN ] line; "
                        "KVM_RESET_TEST_SECONDS allows more\n";
    [[maybe_unused]] ssize_t n = write(2, text, strlen(text));
    _exit(124);
}

class Watchdog : public ::testing::EmptyTestEventListener {
    void OnTestStart(const ::testing::TestInfo &) override
    {
        alarm(seconds_for_a_test());
    }
    void OnTestEnd(const ::testing::TestInfo &) override { alarm(0); }
};

} /* namespace */

int main(int argc, char **argv)
{
    ::testing::InitGoogleTest(&argc, argv);
    signal(SIGALRM, give_up);
    ::testing::UnitTest::GetInstance()->listeners().Append(new Watchdog);
    return RUN_ALL_TESTS();
}
