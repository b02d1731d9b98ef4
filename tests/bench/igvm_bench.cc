/*
 * How long it takes to check an IGVM file, which a guest waits for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Beside it, in the same run, a CRC-32 of the same bytes, and a look at each
 * of them, so that the machine's speed can be told from ours.
 */

#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include "crc32.h"
#include "igvm_launch.h"
#include "igvm_parts.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

namespace {

constexpr uint64_t file_size = 16 << 20;
constexpr uint64_t memory = uint64_t(1) << 30;

IgvmX86Guest guest()
{
    IgvmX86Guest guest;
    guest.guest.ram = {{0, memory}};
    guest.guest.parameters[Type::Madt].resize(page_size);
    return guest;
}

IgvmWriter writer_for_snp()
{
    IgvmWriter writer = igvm_writer_for({{Platform::SevSnp, snp_mask}});
    const VmsaPage area = vmsa_page(initial_vmsa(reset_vector, 0, 1));

    return writer.add(context_at(0, writer.data(area), snp_mask));
}

/* Firmware and a kernel: pages side by side, of which no two are alike. */
std::vector<uint8_t> many_pages()
{
    constexpr uint64_t size = file_size - (256 << 10); /* and headers */
    std::vector<uint8_t> data(size);
    IgvmWriter writer = writer_for_snp();

    for (size_t i = 0; i < data.size(); i++) {
        data[i] = uint8_t(i * 7 + i / 4096 * 13);
    }
    const uint32_t first = writer.data(data);
    for (uint64_t at = 0; at < size; at += page_size) {
        writer.add(page_at(at, uint32_t(first + at), snp_mask));
    }
    std::vector<uint8_t> file = writer.build();
    file.resize(file_size);
    return file;
}

/* What a guest would send that wants the check to take long: as many headers
 * as are taken, in the order that is the worst one for finding overlaps. */
std::vector<uint8_t> most_pages()
{
    IgvmWriter writer = writer_for_snp();
    std::vector<uint8_t> data(2 * page_size);
    const uint32_t first = writer.data(data);

    /* All but those of the platform and the vCPU. */
    for (uint32_t i = 2; i < most_headers; i++) {
        writer.add(page_at(uint64_t(most_headers - i) * page_size,
                           i % 2 ? first : no_data, snp_mask));
    }
    return writer.build();
}

/* As many areas as a file may ask for, and as much filled in as it may have. */
std::vector<uint8_t> most_parameters()
{
    const IgvmGuest limits;
    const uint64_t filled = limits.most_filled / 2,
                   left = limits.most_memory - filled;
    IgvmWriter writer = writer_for_snp();

    writer.add(ParameterArea{.size = filled, .index = 0, .data = no_data})
        .add(ParameterArea{.size = left, .index = 1, .data = no_data});
    for (uint64_t at = 0; at < filled; at += page_size) {
        writer.add(Type::Madt, Parameter{.area = 0, .offset = uint32_t(at)});
    }
    return writer.add(ParameterInsert{.gpa = 0, .mask = 1, .area = 0})
        .add(ParameterInsert{.gpa = filled, .mask = 1, .area = 1})
        .build();
}

void check(benchmark::State &state, std::vector<uint8_t> (*make)())
{
    const std::vector<uint8_t> bytes = make();

    for (auto _ : state) {
        auto file = IgvmFile::parse(bytes);
        auto launch = file ? igvm_launch(*file, guest())
                           : std::unexpected(file.error());
        if (!launch) {
            state.SkipWithError(launch.error().what.c_str());
            break;
        }
        benchmark::DoNotOptimize(launch->plan.regions.data());
    }
}
BENCHMARK_CAPTURE(check, pages, many_pages)
    ->Name("igvm/16 MiB/check")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(check, headers, most_pages)
    ->Name("igvm/131072 headers/check")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(check, parameters, most_parameters)
    ->Name("igvm/most parameters/check")
    ->Unit(benchmark::kMillisecond);

/* SHA-384 of each page, for an ID block and whoever asks. */
void digest(benchmark::State &state, std::vector<uint8_t> (*make)())
{
    const std::vector<uint8_t> bytes = make();
    const IgvmX86Guest snp = guest();
    auto file = IgvmFile::parse(bytes);
    auto launch = igvm_launch(*file, snp);

    for (auto _ : state) {
        benchmark::DoNotOptimize(igvm_digest(*launch, snp));
    }
}
BENCHMARK_CAPTURE(digest, pages, many_pages)
    ->Name("igvm/16 MiB/digest")
    ->Unit(benchmark::kMillisecond);

void crc(benchmark::State &state, std::vector<uint8_t> (*make)())
{
    const std::vector<uint8_t> bytes = make();

    for (auto _ : state) {
        Crc32 crc;
        crc.update(bytes);
        benchmark::DoNotOptimize(crc.value());
    }
}
BENCHMARK_CAPTURE(crc, pages, many_pages)
    ->Name("igvm/16 MiB/CRC-32")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(crc, headers, most_pages)
    ->Name("igvm/131072 headers/CRC-32")
    ->Unit(benchmark::kMillisecond);

void read(benchmark::State &state, std::vector<uint8_t> (*make)())
{
    const std::vector<uint8_t> bytes = make();

    for (auto _ : state) {
        uint64_t sum = 0;
        for (size_t at = 0; at + sizeof sum <= bytes.size(); at += sizeof sum) {
            uint64_t word;
            memcpy(&word, &bytes[at], sizeof word);
            sum += word;
        }
        benchmark::DoNotOptimize(sum);
    }
}
BENCHMARK_CAPTURE(read, pages, many_pages)
    ->Name("igvm/16 MiB/read")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(read, headers, most_pages)
    ->Name("igvm/131072 headers/read")
    ->Unit(benchmark::kMillisecond);

} /* namespace */
