/*
 * Gives igvm_fuzz.cc the files that it is named
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * igvm-replay FILE...: what libFuzzer does with the names of files, where
 * there is no libFuzzer. It ends by a signal at a fault, and with 1 if a file
 * cannot be read.
 */

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        std::ifstream file(argv[i], std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};

        if (!file) {
            fprintf(stderr, "igvm-replay: cannot read %s\n", argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()),
                               bytes.size());
    }
    return 0;
}
